#include "relay.h"

#include <vector>

#include <sys/socket.h>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>

#include "core/check.h"

namespace postrider::simulation {
namespace asio = boost::asio;

Relay::Relay(World& world, std::size_t piece_max)
    : world_(world),
      piece_max_(piece_max),
      inner_{Socket(world.outside().executor()), Socket(world.outside().executor())} {}

std::pair<UniqueFd, UniqueFd> Relay::start() {
    UniqueFd outer[2];
    for (int side = 0; side < 2; ++side) {
        int ends[2];
        POSTRIDER_CHECK(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0);
        outer[side] = UniqueFd(ends[0]);
        inner_[static_cast<std::size_t>(side)].assign(asio::local::stream_protocol(), ends[1]);
    }
    for (int side = 0; side < 2; ++side) {
        asio::co_spawn(world_.outside().executor(), pump(shared_from_this(), side),
                       [self = shared_from_this()](std::exception_ptr thrown) {
                           POSTRIDER_CHECK(!thrown);
                           ++self->ended_;
                       });
    }
    return {std::move(outer[0]), std::move(outer[1])};
}

net::Awaitable<void> Relay::pump(std::shared_ptr<Relay> self, int from) {
    constexpr auto kToken = asio::as_tuple(asio::use_awaitable);
    Socket& source = self->inner_[static_cast<std::size_t>(from)];
    Socket& sink = self->inner_[static_cast<std::size_t>(1 - from)];
    asio::steady_timer timer(self->world_.outside().executor());
    std::vector<char> buffer(65536);
    for (;;) {
        const std::size_t limit =
            1 + static_cast<std::size_t>(self->world_.below(self->piece_max_));
        auto [failed, count] = co_await source.async_read_some(
            asio::buffer(buffer.data(), std::min(limit, buffer.size())), kToken);
        if (failed) break;
        timer.expires_after(self->world_.between(Duration(10), Duration(2000)));
        (void)co_await timer.async_wait(kToken);
        auto [broken, written] =
            co_await asio::async_write(sink, asio::buffer(buffer.data(), count), kToken);
        if (broken) break;
    }
    boost::system::error_code ignored;
    sink.shutdown(Socket::shutdown_send, ignored);
    // Nobody will read what the other direction still carries.
    source.close(ignored);
}

}  // namespace postrider::simulation
