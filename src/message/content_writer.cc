#include "message/content_writer.h"

#include <algorithm>
#include <utility>

#include "core/ascii.h"

namespace postrider::message {
namespace {

/// Most messages are not much longer.
constexpr std::size_t kFirstRoom = 8 * 1024;

// A type byte, then the length in base 128, then the text.
std::uint64_t record_size(std::size_t length) {
    std::uint64_t size = length + 2;
    for (std::size_t rest = length >> 7; rest > 0; rest >>= 7) ++size;
    return size;
}

}  // namespace

std::string without_line_ends(std::string_view text) {
    std::string line(text);
    std::replace(line.begin(), line.end(), '\r', ' ');
    std::replace(line.begin(), line.end(), '\n', ' ');
    return line;
}

void ContentWriter::write(std::string_view text, bool last) {
    if (stopped_) return;
    if (buffer_.empty()) buffer_.reserve(kFirstRoom);
    buffer_ += text;
    if (last) {
        buffer_ += '\r';
        buffer_ += '\n';
    }
    length_ += text.size() + (last ? 2 : 0);

    std::size_t rest = text.size();
    for (; rest > record_limit_; rest -= record_limit_) size_ += record_size(record_limit_);
    size_ += record_size(rest);

    line_length_ += text.size();
    longest_line_ = std::max(longest_line_, line_length_);
    if (last) line_length_ = 0;
}

std::string ContentWriter::take() {
    digest();
    digested_ = 0;
    return std::exchange(buffer_, std::string());
}

void ContentWriter::stop() {
    stopped_ = true;
    digested_ = 0;
    std::string().swap(buffer_);
}

std::uint32_t ContentWriter::checksum() {
    digest();
    return checksum_.value();
}

bool ContentWriter::has_8bit() {
    digest();
    return has_8bit_;
}

// In one go for all that is pending: both loops are several times faster on long runs than on
// lines.
void ContentWriter::digest() {
    const std::string_view fresh = std::string_view(buffer_).substr(digested_);
    if (fresh.empty()) return;
    checksum_.add(fresh);
    has_8bit_ = has_8bit_ || !is_ascii(fresh);
    digested_ = buffer_.size();
}

}  // namespace postrider::message
