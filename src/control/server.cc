#include "control/server.h"

#include "net/line_reader.h"

namespace postrider::control {
namespace {

/// Lines gathered into writes of a decent size; each write has the same patience.
class StreamAnswer final : public Answer {
public:
    StreamAnswer(net::Stream& stream, net::Timers& timers) : stream_(stream), timers_(timers) {}

    net::Awaitable<Result<void>> line(std::string text) override {
        buffer_ += text;
        buffer_ += '\n';
        if (buffer_.size() < kWriteSize) co_return Result<void>();
        co_return co_await flush();
    }

    net::Awaitable<Result<void>> flush() {
        const std::string out = std::exchange(buffer_, std::string());
        co_return co_await net::write(stream_, out, timers_.now() + Server::kPatience);
    }

private:
    static constexpr std::size_t kWriteSize = 16 * 1024;
    net::Stream& stream_;
    net::Timers& timers_;
    std::string buffer_;
};

}  // namespace

Server::Server(std::unique_ptr<net::Listener> listener, Service& service,
               boost::asio::any_io_executor executor, net::Timers& timers, const Log& log)
    : listener_(std::move(listener)),
      service_(service),
      timers_(timers),
      log_(log),
      connections_(std::move(executor), log) {}

net::Awaitable<void> Server::run() {
    while (true) {
        auto stream = co_await listener_->accept();
        if (!stream) {
            if (stream.error().code != ErrorCode::Cancelled) log_.error(stream.error().message);
            co_return;
        }
        // At the bound the peer sees its connection closed; tools say so and can be run again.
        if (connections_.size() >= kConnectionsMax) continue;
        connections_.spawn(converse(std::move(stream).value()), "control");
    }
}

net::Awaitable<void> Server::finish(MonotonicTime deadline) {
    listener_->close();
    (void)co_await connections_.join(deadline);
    connections_.cancel();
}

net::Awaitable<void> Server::converse(std::unique_ptr<net::SocketStream> stream) {
    const auto peer = stream->peer_credentials();
    if (!peer) co_return;
    net::LineReader reader(*stream, kRequestSizeMax);
    const auto line = co_await reader.read_line(timers_.now() + kPatience);
    if (!line) co_return;

    StreamAnswer answer(*stream, timers_);
    auto request = parse_request(line->too_long ? std::string_view() : line->text);
    if (request) {
        const Caller caller{static_cast<std::int64_t>(peer->uid)};
        co_await service_.answer(std::move(request).value(), caller, answer);
    } else {
        // The text is ours, without anything of the peer's in it: it needs no escaping.
        (void)co_await answer.line("{\"error\": \"" + request.error().message + "\"}");
    }
    (void)co_await answer.flush();
}

}  // namespace postrider::control
