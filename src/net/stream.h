// A two-way stream of bytes on which every wait has a deadline.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/buffer.hpp>

#include "core/clock.h"
#include "core/result.h"

namespace postrider::net {

template <typename T>
using Awaitable = boost::asio::awaitable<T>;

/// TCP, a unix socket, TLS over one of them, or a script in a test. One reader and one writer at a
/// time. A deadline that passes is ErrorCode::Timeout, our own cancel() ErrorCode::Cancelled, the
/// peer's going away ErrorCode::Connection. After an error only close() makes sense.
class Stream {
public:
    virtual ~Stream() = default;

    /// Waits for at least one byte. 0 means the peer has closed its side in good order.
    virtual Awaitable<Result<std::size_t>> read_some(std::span<char> into,
                                                     MonotonicTime deadline) = 0;
    /// Writes all of it.
    virtual Awaitable<Result<void>> write(std::span<const boost::asio::const_buffer> buffers,
                                          MonotonicTime deadline) = 0;
    /// Ends waits in progress with Cancelled.
    virtual void cancel() = 0;
    /// Closes at once; for TLS without waiting for the peer's close_notify.
    virtual void close() = 0;
};

/// Writes one text.
Awaitable<Result<void>> write(Stream&, std::string_view text, MonotonicTime deadline);

}  // namespace postrider::net
