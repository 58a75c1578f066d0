// The seam between the dialogue and the wire: bytes out, replies in.
#pragma once

#include <cstddef>
#include <deque>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <boost/asio/any_io_executor.hpp>

#include "core/clock.h"
#include "core/result.h"
#include "net/stream.h"
#include "smtp/reply.h"

namespace postrider::delivery {

/// One SMTP connection as the dialogue sees it. Replies are matched to commands by order alone, so
/// an answer nobody asked for is never delivered: it makes every later call fail with Protocol.
/// After any error only close() makes sense.
class Channel {
public:
    virtual ~Channel() = default;

    /// Sends bytes that will be answered by `replies` replies.
    virtual net::Awaitable<Result<void>> send(std::string_view bytes, unsigned replies,
                                              MonotonicTime deadline) = 0;
    /// The next reply. One must be outstanding, or announced by expect().
    virtual net::Awaitable<Result<smtp::Reply>> receive(MonotonicTime deadline) = 0;
    /// `replies` more are due without a command: the greeting.
    virtual void expect(unsigned replies) = 0;

    /// Nothing has gone wrong yet, and the peer has not closed.
    virtual bool is_open() const = 0;
    /// Ends waits in progress; the peer is not told.
    virtual void close() = 0;
};

/// Sends one command and waits for its answer.
net::Awaitable<Result<smtp::Reply>> exchange(Channel&, std::string_view command,
                                             MonotonicTime deadline);

/// The real one. Until watch(), bytes are read only when a reply is awaited, so that the stream can
/// be taken out for a TLS handshake. From then on it reads all the time: an early or surplus reply
/// is seen before the next command goes out, and a connection the peer closes while it is idle is
/// known to be dead.
class StreamChannel final : public Channel {
public:
    StreamChannel(std::unique_ptr<net::Stream>, boost::asio::any_io_executor);
    ~StreamChannel() override;

    net::Awaitable<Result<void>> send(std::string_view bytes, unsigned replies,
                                      MonotonicTime deadline) override;
    net::Awaitable<Result<smtp::Reply>> receive(MonotonicTime deadline) override;
    void expect(unsigned replies) override;
    bool is_open() const override;
    void close() override;

    /// Begins to read all the time.
    void watch();
    /// The stream, for a TLS handshake. Protocol if bytes have come that belong to no reply: before
    /// a handshake that is an injection (RFC 3207 6). The channel is empty afterwards.
    Result<std::unique_ptr<net::Stream>> release();

private:
    struct State;
    static net::Awaitable<void> read_on(std::shared_ptr<State>);
    std::shared_ptr<State> state_;  // Shared with the reading coroutine, which may end later.
};

}  // namespace postrider::delivery
