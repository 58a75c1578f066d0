#include "net/line_reader.h"

#include <algorithm>
#include <cstring>

#include "core/check.h"

namespace postrider::net {

LineReader::LineReader(Stream& stream, std::size_t line_length_max, std::size_t read_size)
    : stream_(&stream), line_length_max_(line_length_max), read_size_(read_size) {}

Awaitable<Result<Line>> LineReader::read_line(MonotonicTime deadline) {
    for (;;) {
        const std::string_view fresh(buffer_.data() + scanned_, end_ - scanned_);
        const std::size_t line_feed = fresh.find('\n');
        if (line_feed != fresh.npos) co_return take_line(scanned_ + line_feed);
        scanned_ = end_;
        // One more than the bound, because the line may end with CR LF.
        if (end_ - begin_ > line_length_max_ + 1) {
            Line line;
            auto skipped = co_await skip_to_line_end(line, deadline);
            if (!skipped) co_return Unexpected(std::move(skipped).error());
            co_return line;
        }
        auto more = co_await fill(deadline);
        if (!more) co_return Unexpected(std::move(more).error());
        if (!*more) co_return Unexpected(ErrorCode::Connection, "read: closed by the peer");
    }
}

Awaitable<Result<std::string_view>> LineReader::read_some(MonotonicTime deadline) {
    if (begin_ == end_) {
        auto more = co_await fill(deadline);
        if (!more) co_return Unexpected(std::move(more).error());
    }
    const std::string_view all = buffered();
    consume(all.size());
    co_return all;
}

std::string_view LineReader::buffered() const {
    return {buffer_.data() + begin_, end_ - begin_};
}

void LineReader::consume(std::size_t bytes) {
    POSTRIDER_CHECK(bytes <= end_ - begin_);
    begin_ += bytes;
    scanned_ = std::max(scanned_, begin_);
}

bool LineReader::has_line() const {
    return buffered().find('\n') != std::string_view::npos;
}

void LineReader::attach(Stream& stream) {
    POSTRIDER_CHECK(begin_ == end_);
    stream_ = &stream;
}

// Appends what comes; false at the end of the stream. Room is made by moving what is left to the
// front, which is less than a line, or by growing, which the bound on lines limits.
Awaitable<Result<bool>> LineReader::fill(MonotonicTime deadline) {
    if (begin_ == end_) {
        begin_ = end_ = scanned_ = 0;
    } else if (buffer_.size() - end_ < read_size_ / 2) {
        std::memmove(buffer_.data(), buffer_.data() + begin_, end_ - begin_);
        scanned_ -= begin_;
        end_ -= begin_;
        begin_ = 0;
    }
    if (buffer_.size() - end_ < read_size_ / 2) buffer_.resize(end_ + read_size_);
    const std::span<char> room(buffer_.data() + end_, buffer_.size() - end_);
    auto count = co_await stream_->read_some(room, deadline);
    if (!count) co_return Unexpected(std::move(count).error());
    end_ += *count;
    co_return *count > 0;
}

// Keeps the beginning of the line at the front of the buffer and reads over the rest behind it.
Awaitable<Result<void>> LineReader::skip_to_line_end(Line& line, MonotonicTime deadline) {
    std::memmove(buffer_.data(), buffer_.data() + begin_, line_length_max_);
    begin_ = 0;
    bool after_cr = buffer_[end_ - 1] == '\r';
    end_ = scanned_ = line_length_max_;
    for (;;) {
        if (buffer_.size() - line_length_max_ < read_size_ / 2) {
            buffer_.resize(line_length_max_ + read_size_);
        }
        const std::span<char> room(buffer_.data() + line_length_max_,
                                   buffer_.size() - line_length_max_);
        auto count = co_await stream_->read_some(room, deadline);
        if (!count) co_return Unexpected(std::move(count).error());
        if (*count == 0) co_return Unexpected(ErrorCode::Connection, "read: closed by the peer");
        const auto* line_feed = static_cast<const char*>(std::memchr(room.data(), '\n', *count));
        if (line_feed == nullptr) {
            after_cr = room[*count - 1] == '\r';
            continue;
        }
        if (line_feed != room.data()) after_cr = line_feed[-1] == '\r';
        line.text = {buffer_.data(), line_length_max_};
        line.end = after_cr ? Line::End::CrLf : Line::End::Lf;
        line.too_long = true;
        begin_ = scanned_ = static_cast<std::size_t>(line_feed + 1 - buffer_.data());
        end_ = line_length_max_ + *count;
        co_return Result<void>();
    }
}

Line LineReader::take_line(std::size_t line_feed) {
    Line line;
    std::size_t length = line_feed - begin_;
    line.end = length > 0 && buffer_[line_feed - 1] == '\r' ? Line::End::CrLf : Line::End::Lf;
    if (line.end == Line::End::CrLf) --length;
    line.too_long = length > line_length_max_;
    line.text = {buffer_.data() + begin_, std::min(length, line_length_max_)};
    begin_ = scanned_ = line_feed + 1;
    return line;
}

}  // namespace postrider::net
