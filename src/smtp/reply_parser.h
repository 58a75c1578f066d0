// Takes replies out of what a server sends, however it is cut into pieces.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include "core/result.h"
#include "smtp/reply.h"

namespace postrider::smtp {

/// Reads replies, one after the other, in bounded memory.
///
///     parser.append(bytes);
///     while (auto reply = parser.next(); reply && *reply) ...
///
/// Lines end in CRLF or a bare LF. `ddd-text` continues, `ddd text` and `ddd` end a reply; every
/// line has the same code (RFC 5321 4.2.1). What is not printable, NUL included, becomes `?`. A
/// line longer than `kLineLengthMax` is cut. A line that is no reply line, a code
/// outside 200..599, differing codes, or more than `kLineCountMax` lines is
/// ErrorCode::Protocol; the connection cannot be used any more then, and every further next()
/// says the same. Guessing here loses mail: with pipelining, an answer would be taken for another
/// command's.
class ReplyParser {
public:
    static constexpr std::size_t kLineLengthMax = 2048;
    static constexpr std::size_t kLineCountMax = 100;

    /// Takes more bytes. Call next() until it has no more to give before the next append():
    /// between the two, memory is bounded by one read and one reply.
    void append(std::string_view bytes);

    /// The next complete reply; nothing if more bytes are needed.
    Result<std::optional<Reply>> next();

    /// Bytes are here that belong to no reply returned yet. True when nothing is outstanding means
    /// an early or surplus answer: a protocol error, and before a TLS handshake an injection.
    bool pending() const;

private:
    std::optional<std::string> next_line();
    Result<bool> add_line(const std::string& line);
    Unexpected fail(std::string message);

    std::string buffer_;  // Bytes not looked at yet, from `start_`.
    std::size_t start_ = 0;
    std::string line_;  // The beginning of an incomplete line.
    bool line_truncated_ = false;
    Reply partial_;  // The lines of an incomplete reply.
    std::optional<Error> failure_;
};

}  // namespace postrider::smtp
