#include "net/connect.h"

#include <algorithm>
#include <cerrno>

#include <netinet/tcp.h>
#include <sys/socket.h>

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <fmt/format.h>

#include "net/event.h"
#include "net/until.h"

namespace postrider::net {
namespace {

namespace asio = boost::asio;

using Outcome = Result<std::unique_ptr<SocketStream>>;

int socket_error(int fd) {
    int error = 0;
    socklen_t size = sizeof error;
    return ::getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) == 0 ? error : errno;
}

Result<UniqueFd> open_socket(const asio::ip::tcp::endpoint& to, std::optional<IpAddress> bind_to) {
    UniqueFd fd(
        ::socket(to.protocol().family(), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_TCP));
    if (!fd) return Unexpected(system_error("socket", errno));
    if (bind_to) {
        const asio::ip::tcp::endpoint from(*bind_to, 0);
        if (::bind(fd.get(), from.data(), static_cast<socklen_t>(from.size())) != 0) {
            return Unexpected(system_error("bind " + bind_to->to_string(), errno));
        }
    }
    return fd;
}

// We may wait ten minutes for an answer. A peer that lost the connection meanwhile, while this
// machine slept or was elsewhere, says so when it is asked; timeouts of the protocol stay as long
// as they are.
void keep_alive(int fd) {
    const auto set = [fd](int level, int option, int value) {
        // A kernel that cannot is no worse than before.
        static_cast<void>(::setsockopt(fd, level, option, &value, sizeof value));
    };
    set(SOL_SOCKET, SO_KEEPALIVE, 1);
    set(IPPROTO_TCP, TCP_KEEPIDLE, 60);
    set(IPPROTO_TCP, TCP_KEEPINTVL, 15);
    set(IPPROTO_TCP, TCP_KEEPCNT, 4);
}

Awaitable<Outcome> attempt_connection(HostAddress address, std::uint16_t port,
                                      std::optional<IpAddress> bind_to, MonotonicTime deadline) {
    const std::string attempt = fmt::format("connect to {}[{}]:{}", address.host,
                                            unmapped(address.address).to_string(), port);
    const asio::ip::tcp::endpoint to(address.address, port);
    auto executor = co_await asio::this_coro::executor;
    auto fd = open_socket(to, bind_to);
    if (!fd) co_return Unexpected(with_context(attempt, std::move(fd).error()));
    if (::connect(fd->get(), to.data(), static_cast<socklen_t>(to.size())) != 0) {
        if (errno != EINPROGRESS) co_return Unexpected(system_error(attempt, errno));
        asio::posix::stream_descriptor descriptor(executor, fd->release());
        asio::steady_timer timer(executor);
        auto writable = [&descriptor](auto token) {
            return descriptor.async_wait(asio::posix::stream_descriptor::wait_write, token);
        };
        auto waited = co_await until(timer, deadline, attempt, writable);
        fd->reset(descriptor.release());
        if (!waited && waited.error().code == ErrorCode::Timeout) {
            co_return Unexpected(system_error(attempt, ETIMEDOUT));
        }
        if (!waited) co_return Unexpected(std::move(waited).error());
        const int failure = socket_error(fd->get());
        if (failure != 0) co_return Unexpected(system_error(attempt, failure));
    }
    keep_alive(fd->get());
    co_return SocketStream::adopt(executor, std::move(*fd));
}

// One address on its way. `stop` must not move while its attempt runs.
struct Attempt {
    explicit Attempt(HostAddress address) : to(std::move(address)) {}

    HostAddress to;
    std::optional<Outcome> outcome;
    bool started = false;
    bool reported = false;
    asio::cancellation_signal stop;
};

// Shared with the completions of attempts that are dropped when another has won.
class Race {
public:
    Race(asio::any_io_executor executor, const std::vector<HostAddress>& addresses)
        : executor_(executor), changed(std::move(executor)) {
        for (const auto& address : addresses) {
            attempts.push_back(std::make_unique<Attempt>(address));
        }
    }

    static void start(const std::shared_ptr<Race>& race, std::uint16_t port,
                      const ConnectOptions& options, MonotonicTime deadline) {
        Attempt& attempt = *race->attempts[race->next++];
        attempt.started = true;
        ++race->running;
        const auto& bind_to = attempt.to.address.is_v6() ? options.bind_ipv6 : options.bind_ipv4;
        auto ended = [race, &attempt](std::exception_ptr exception, std::optional<Outcome> result) {
            --race->running;
            attempt.outcome = std::move(result);
            if (exception || !attempt.outcome) {
                attempt.outcome.emplace(Unexpected(ErrorCode::Io, "connect: no memory"));
            }
            race->changed.set();
        };
        asio::co_spawn(race->executor_,
                       detail::as_outcome(attempt_connection(attempt.to, port, bind_to, deadline)),
                       asio::bind_cancellation_slot(attempt.stop.slot(), std::move(ended)));
    }

    bool may_start_beside() const {
        if (next >= attempts.size()) return false;
        return next == 0 || running == 0 ||
               attempts[next]->to.preference == attempts[next - 1]->to.preference;
    }

    // Takes the first success, and moves failures that are new to the list.
    void collect(Connected& result, std::uint16_t port) {
        for (auto& attempt : attempts) {
            if (!attempt->outcome || attempt->reported) continue;
            attempt->reported = true;
            if (!*attempt->outcome) {
                FailedAttempt failed{attempt->to, port, std::move(*attempt->outcome).error()};
                result.failures.push_back(std::move(failed));
            } else if (result.stream == nullptr) {
                result.stream = std::move(**attempt->outcome);
                result.to = attempt->to;
                result.port = port;
            }
        }
    }

    void drop_others() {
        for (auto& attempt : attempts) {
            if (attempt->started && !attempt->outcome) {
                attempt->stop.emit(asio::cancellation_type::terminal);
            }
        }
    }

private:
    asio::any_io_executor executor_;

public:
    std::vector<std::unique_ptr<Attempt>> attempts;
    std::size_t next = 0;
    std::size_t running = 0;
    Event changed;
};

}  // namespace

std::vector<HostAddress> interleaved(std::vector<HostAddress> list) {
    std::vector<HostAddress> result;
    result.reserve(list.size());
    std::vector<bool> taken(list.size(), false);
    bool ipv6 = !list.empty() && list.front().address.is_v6();
    while (result.size() < list.size()) {
        // Within the best preference that is left: the family whose turn it is, or else the other.
        const auto first =
            static_cast<std::size_t>(std::find(taken.begin(), taken.end(), false) - taken.begin());
        if (result.empty() || result.back().preference != list[first].preference) {
            ipv6 = list[first].address.is_v6();
        }
        std::size_t chosen = first;
        for (std::size_t i = first; i < list.size(); ++i) {
            if (list[i].preference != list[first].preference) break;
            if (!taken[i] && list[i].address.is_v6() == ipv6) {
                chosen = i;
                break;
            }
        }
        taken[chosen] = true;
        result.push_back(list[chosen]);
        ipv6 = !ipv6;
    }
    return result;
}

Awaitable<Result<Connected>> connect(std::vector<HostAddress> addresses, std::uint16_t port,
                                     ConnectOptions options, MonotonicTime deadline) {
    auto executor = co_await asio::this_coro::executor;
    auto race = std::make_shared<Race>(executor, interleaved(std::move(addresses)));
    Connected result;
    MonotonicTime next_start = MonotonicTime::min();
    while (result.stream == nullptr) {
        const auto now = std::chrono::steady_clock::now();
        if (race->may_start_beside() && now < deadline &&
            (race->running == 0 || now >= next_start)) {
            Race::start(race, port, options, std::min(deadline, now + options.attempt_timeout));
            next_start = now + options.stagger;
        }
        if (race->running == 0) break;
        race->changed.reset();
        // The attempts keep the deadline themselves.
        auto change = co_await race->changed.wait(
            race->may_start_beside() && now < deadline ? next_start : kNever);
        if (!change && change.error().code == ErrorCode::Cancelled) {
            race->drop_others();
            co_return Unexpected(std::move(change).error());
        }
        const std::size_t failed_before = result.failures.size();
        race->collect(result, port);
        if (result.failures.size() > failed_before) next_start = MonotonicTime::min();
    }
    race->drop_others();
    co_return result;
}

}  // namespace postrider::net
