#include "intake/input_buffer.h"

#include <cstring>

#include "core/check.h"

namespace postrider::intake {

void InputBuffer::consume(std::size_t size) {
    POSTRIDER_CHECK(size <= end_ - begin_);
    begin_ += size;
    if (begin_ == end_) begin_ = end_ = 0;
}

void InputBuffer::append(std::string_view bytes) {
    if (bytes.empty()) return;
    make_room(bytes.size());
    std::memcpy(bytes_.get() + end_, bytes.data(), bytes.size());
    end_ += bytes.size();
}

bool InputBuffer::has_line() const {
    return buffered().find('\n') != std::string_view::npos;
}

void InputBuffer::make_room(std::size_t room) {
    const std::size_t kept = end_ - begin_;
    if (capacity_ < kept + room) {
        capacity_ = kept + room;
        auto larger = std::make_unique_for_overwrite<char[]>(capacity_);
        if (kept > 0) std::memcpy(larger.get(), bytes_.get() + begin_, kept);
        bytes_ = std::move(larger);
    } else if (begin_ > 0) {
        std::memmove(bytes_.get(), bytes_.get() + begin_, kept);
    }
    begin_ = 0;
    end_ = kept;
}

net::Awaitable<Result<void>> InputBuffer::fill(std::size_t room, MonotonicTime deadline) {
    make_room(room);
    const std::span<char> into(bytes_.get() + end_, capacity_ - end_);
    waiting_ = true;
    slot_.wait_begins(timers_.now());
    auto size = co_await stream_.read_some(into, deadline);
    slot_.wait_ended(timers_.now(), size ? *size : 0);
    waiting_ = false;
    if (!size) co_return Unexpected(std::move(size).error());
    if (*size == 0) co_return Unexpected(ErrorCode::Connection, "read: closed by the peer");
    end_ += *size;
    co_return Result<void>();
}

net::Awaitable<Result<InputBuffer::Line>> InputBuffer::read_line(std::size_t length_max,
                                                                 MonotonicTime deadline) {
    std::size_t scanned = 0;
    while (true) {
        const std::string_view input = buffered();
        const std::size_t newline = input.find('\n', scanned);
        if (newline != std::string_view::npos) {
            Line line;
            line.text = input.substr(0, newline);
            while (line.text.ends_with('\r')) line.text.remove_suffix(1);
            // Before its CRs were taken off, too: that is how it looks when it comes in two
            // packets.
            if (line.text.size() > length_max || newline > length_max + 1) {
                line.text = line.text.substr(0, length_max);
                line.too_long = true;
            }
            // Taken, but not overwritten before the next fill().
            begin_ += newline + 1;
            co_return line;
        }
        if (input.size() > length_max + 1) co_return co_await skip_line(length_max, deadline);
        scanned = input.size();
        auto filled = co_await fill(kCommandRoom, deadline);
        if (!filled) co_return Unexpected(std::move(filled).error());
    }
}

/// Reads over a line whose end is not in sight, in constant memory.
net::Awaitable<Result<InputBuffer::Line>> InputBuffer::skip_line(std::size_t length_max,
                                                                 MonotonicTime deadline) {
    const std::string_view beginning = buffered().substr(0, length_max);
    overlong_.assign(beginning.begin(), beginning.end());
    for (std::size_t length = 0; length < kHopelessLength;) {
        const std::size_t newline = buffered().find('\n');
        if (newline != std::string_view::npos) {
            begin_ += newline + 1;
            Line line;
            line.text = std::string_view(overlong_.data(), overlong_.size());
            line.too_long = true;
            co_return line;
        }
        length += buffered().size();
        consume(buffered().size());
        auto filled = co_await fill(kCommandRoom, deadline);
        if (!filled) co_return Unexpected(std::move(filled).error());
    }
    co_return Unexpected(ErrorCode::Limit, "command line without end");
}

}  // namespace postrider::intake
