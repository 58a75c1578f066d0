#include "delivery/channel.h"

#include <array>
#include <exception>
#include <optional>

#include <boost/asio/co_spawn.hpp>

#include "net/event.h"
#include "net/until.h"
#include "smtp/reply_parser.h"

namespace postrider::delivery {

net::Awaitable<Result<smtp::Reply>> exchange(Channel& channel, std::string_view command,
                                             MonotonicTime deadline) {
    auto sent = co_await channel.send(command, 1, deadline);
    if (!sent) co_return Unexpected(std::move(sent).error());
    co_return co_await channel.receive(deadline);
}

struct StreamChannel::State {
    State(std::unique_ptr<net::Stream> over, boost::asio::any_io_executor on)
        : stream(std::move(over)), executor(on), arrived(std::move(on)) {}

    std::unique_ptr<net::Stream> stream;
    boost::asio::any_io_executor executor;
    smtp::ReplyParser parser;
    std::deque<smtp::Reply> replies;  // Arrived and asked for; never more than were outstanding.
    unsigned outstanding = 0;         // Asked for and not yet arrived.
    std::optional<Error> failure;
    bool watching = false;
    net::Event arrived;

    void fail(Error error) {
        if (!failure) failure = std::move(error);
        arrived.set();
    }

    // Takes what the parser has. An answer without a question ends the connection: whatever it is
    // taken for would be wrong. 421 alone may come at any time (RFC 5321 3.8).
    void sort_replies() {
        while (!failure) {
            auto reply = parser.next();
            if (!reply) return fail(std::move(reply).error());
            if (!*reply) return;
            if (outstanding == 0) {
                const bool closing = (*reply)->code == 421;
                return fail(Error{closing ? ErrorCode::Connection : ErrorCode::Protocol,
                                  "unasked reply: " + smtp::log_text(**reply)});
            }
            --outstanding;
            replies.push_back(*std::move(*reply));
            arrived.set();
        }
    }

    void take(const Result<std::size_t>& count, std::span<const char> buffer) {
        if (!count) return fail(count.error());
        if (*count == 0) return fail(Error{ErrorCode::Connection, "closed by the other side"});
        parser.append(std::string_view(buffer.data(), *count));
        sort_replies();
    }
};

StreamChannel::StreamChannel(std::unique_ptr<net::Stream> stream,
                             boost::asio::any_io_executor executor)
    : state_(std::make_shared<State>(std::move(stream), std::move(executor))) {}

StreamChannel::~StreamChannel() {
    close();
}

net::Awaitable<Result<void>> StreamChannel::send(std::string_view bytes, unsigned replies,
                                                 MonotonicTime deadline) {
    const std::shared_ptr<State> state = state_;
    if (!state->failure && state->outstanding == 0 && state->parser.pending()) {
        state->fail(Error{ErrorCode::Protocol, "unasked bytes"});
    }
    if (state->failure) co_return Unexpected(*state->failure);
    state->outstanding += replies;
    auto written = co_await net::write(*state->stream, bytes, deadline);
    if (!written) state->fail(written.error());
    co_return written;
}

net::Awaitable<Result<smtp::Reply>> StreamChannel::receive(MonotonicTime deadline) {
    const std::shared_ptr<State> state = state_;
    std::array<char, 4096> buffer;
    while (state->replies.empty()) {
        if (state->failure) co_return Unexpected(*state->failure);
        if (state->watching) {
            state->arrived.reset();
            auto waited = co_await state->arrived.wait(deadline);
            if (!waited && !state->arrived.is_set()) state->fail(std::move(waited).error());
        } else {
            const auto count = co_await state->stream->read_some(buffer, deadline);
            state->take(count, buffer);
        }
    }
    smtp::Reply reply = std::move(state->replies.front());
    state->replies.pop_front();
    co_return reply;
}

void StreamChannel::expect(unsigned replies) {
    state_->outstanding += replies;
    state_->sort_replies();
}

bool StreamChannel::is_open() const {
    return state_->stream && !state_->failure;
}

void StreamChannel::close() {
    state_->fail(Error{ErrorCode::Cancelled, "closed"});
    if (state_->stream) state_->stream->close();
}

void StreamChannel::watch() {
    state_->watching = true;
    const std::shared_ptr<State> state = state_;
    boost::asio::co_spawn(state->executor, read_on(state), [state](std::exception_ptr trouble) {
        if (trouble) state->fail(Error{ErrorCode::Io, "reading replies"});
    });
}

net::Awaitable<void> StreamChannel::read_on(std::shared_ptr<State> state) {
    std::array<char, 4096> buffer;
    while (!state->failure) {
        const auto count = co_await state->stream->read_some(buffer, net::kNever);
        state->take(count, buffer);
    }
}

Result<std::unique_ptr<net::Stream>> StreamChannel::release() {
    if (state_->failure) return Unexpected(*state_->failure);
    if (!state_->replies.empty() || state_->parser.pending()) {
        return Unexpected(ErrorCode::Protocol, "bytes before the TLS handshake");
    }
    return std::move(state_->stream);
}

}  // namespace postrider::delivery
