#include "net/network_watch.h"

#include <algorithm>
#include <array>
#include <cerrno>

#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>

#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/steady_timer.hpp>

#include "core/unique_fd.h"
#include "net/until.h"

namespace postrider::net {

namespace asio = boost::asio;

Duration Settling::delay(MonotonicTime now) const {
    const bool forgotten = last_ == MonotonicTime::min() || now - last_ > kQuiet + delay_;
    return forgotten ? kFirst : delay_;
}

void Settling::reported(MonotonicTime now) {
    delay_ = std::min(2 * delay(now), kLongest);
    last_ = now;
}

class NetworkWatch::Implementation {
public:
    Implementation(asio::any_io_executor executor, UniqueFd socket, const Clock& clock,
                   Routes routes)
        : socket_(executor, socket.release()),
          timer_(executor),
          clock_(clock),
          routes_(std::move(routes)) {}

    Awaitable<Result<bool>> next() {
        for (;;) {
            auto told = co_await until(timer_, kNever, "watch routes", [this](auto token) {
                return socket_.async_wait(asio::posix::stream_descriptor::wait_read, token);
            });
            if (!told) co_return Unexpected(std::move(told).error());
            const MonotonicTime settled = clock_.monotonic() + settling_.delay(clock_.monotonic());
            auto slept = co_await until(timer_, kNever, "wait", [this, settled](auto token) {
                timer_.expires_at(settled);
                return timer_.async_wait(token);
            });
            if (!slept) co_return Unexpected(std::move(slept).error());
            if (auto drained = drain(); !drained) co_return Unexpected(std::move(drained).error());
            auto now = read_routes();
            // Too busy to answer: there is more to come, and the next message has us look again.
            if (!now) continue;
            const bool gain = now->has_more_than(routes_);
            const bool lost = routes_.leads_out && !now->leads_out;
            routes_ = *std::move(now);
            if (gain) settling_.reported(clock_.monotonic());
            if (gain || lost) co_return gain;
        }
    }

    bool online() const { return routes_.leads_out; }

private:
    /// What is there is looked up afterwards, all at once. What went, be it for a moment, counts as
    /// new when it is back: another network may have the same addresses.
    Result<void> drain() {
        alignas(nlmsghdr) std::array<char, 32768> buffer;
        for (;;) {
            const auto count =
                ::recv(socket_.native_handle(), buffer.data(), buffer.size(), MSG_DONTWAIT);
            if (count >= 0) {
                Routes seen;
                Routes lost;
                const std::span bytes(buffer.data(), static_cast<std::size_t>(count));
                static_cast<void>(add_messages(bytes, seen, &lost));
                routes_.remove(lost);
                continue;
            }
            // Some were dropped, as there were so many.
            if (errno == ENOBUFS || errno == EINTR) continue;
            if (errno == EAGAIN) return {};
            return Unexpected(system_error("watch routes", errno));
        }
    }

    asio::posix::stream_descriptor socket_;
    asio::steady_timer timer_;
    const Clock& clock_;
    Routes routes_;
    Settling settling_;
};

Result<std::unique_ptr<NetworkWatch>> NetworkWatch::open(asio::any_io_executor executor,
                                                         const Clock& clock) {
    UniqueFd socket(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE));
    sockaddr_nl groups{};
    groups.nl_family = AF_NETLINK;
    groups.nl_groups = RTMGRP_LINK | RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR | RTMGRP_IPV4_ROUTE |
                       RTMGRP_IPV6_ROUTE;
    if (!socket ||
        ::bind(socket.get(), reinterpret_cast<const sockaddr*>(&groups), sizeof groups) != 0) {
        return Unexpected(system_error("watch routes", errno));
    }
    // After the groups are joined: what changes between the two is told again, not missed.
    auto routes = read_routes();
    if (!routes) return Unexpected(std::move(routes).error());
    return std::unique_ptr<NetworkWatch>(new NetworkWatch(std::make_unique<Implementation>(
        std::move(executor), std::move(socket), clock, *std::move(routes))));
}

NetworkWatch::NetworkWatch(std::unique_ptr<Implementation> implementation)
    : implementation_(std::move(implementation)) {}
NetworkWatch::~NetworkWatch() = default;

bool NetworkWatch::online() const {
    return implementation_->online();
}

Awaitable<Result<bool>> NetworkWatch::next() {
    return implementation_->next();
}

}  // namespace postrider::net
