// What a client has sent and we have not taken yet: command lines, then content, in one buffer.
#pragma once

#include <cstddef>
#include <memory>
#include <string_view>
#include <vector>

#include "intake/slots.h"
#include "net/stream.h"
#include "net/timers.h"

namespace postrider::intake {

/// Unlike net::LineReader it lets its owner look before taking: the final dot may be followed by
/// the next command, and the first byte of a session may tell that no line will ever come. Owns its
/// memory, not the stream; views are valid until the next call that reads. The slot hears how long
/// the client took.
class InputBuffer {
public:
    /// A line that has grown to this without an end is no command any more.
    static constexpr std::size_t kHopelessLength = 64 * 1024;

    InputBuffer(net::Stream& stream, const net::Timers& timers, Slot& slot)
        : stream_(stream), timers_(timers), slot_(slot) {}

    std::string_view buffered() const { return {bytes_.get() + begin_, end_ - begin_}; }
    void consume(std::size_t size);
    /// As if it had been read.
    void append(std::string_view bytes);
    bool has_line() const;
    /// fill() has begun and not ended.
    bool is_waiting() const { return waiting_; }

    /// Waits for at least one byte more than is buffered. The peer's end is ErrorCode::Connection.
    /// `room` is how much to be ready for.
    net::Awaitable<Result<void>> fill(std::size_t room, MonotonicTime deadline);

    struct Line {
        std::string_view text;  ///< Without LF, and without CRs before it.
        bool too_long = false;  ///< Read over to its end; `text` is its beginning.
    };
    /// The next line, of at most `length_max` bytes. ErrorCode::Limit if its end does not come
    /// within kHopelessLength.
    net::Awaitable<Result<Line>> read_line(std::size_t length_max, MonotonicTime deadline);

    static constexpr std::size_t kCommandRoom = 4 * 1024;
    static constexpr std::size_t kContentRoom = 64 * 1024;

private:
    void make_room(std::size_t room);
    net::Awaitable<Result<Line>> skip_line(std::size_t length_max, MonotonicTime deadline);

    net::Stream& stream_;
    const net::Timers& timers_;
    Slot& slot_;
    bool waiting_ = false;
    std::unique_ptr<char[]> bytes_;
    std::size_t capacity_ = 0;
    std::size_t begin_ = 0;
    std::size_t end_ = 0;
    std::vector<char> overlong_;  // The beginning of a line being read over.
};

}  // namespace postrider::intake
