#include "message/outgoing.h"

#include <algorithm>
#include <cstring>

#include "message/downgrade.h"

namespace postrider::message {

OutgoingEncoder::OutgoingEncoder(const OutgoingOptions& options, const ContentFacts& facts)
    : chunked_(options.chunked) {
    const bool converting = options.convert_to_7bit && facts.has_8bit;
    if (converting) downgrade_ = std::make_unique<EightBitDowngrade>();
    // Converting makes short lines of long ones, but not of all.
    if (options.line_length_max > 0 && facts.longest_line > options.line_length_max)
        line_length_max_ = std::max<std::size_t>(options.line_length_max, 2);
}

OutgoingEncoder::~OutgoingEncoder() = default;
OutgoingEncoder::OutgoingEncoder(OutgoingEncoder&&) noexcept = default;
OutgoingEncoder& OutgoingEncoder::operator=(OutgoingEncoder&&) noexcept = default;

bool OutgoingEncoder::is_transparent() const {
    return chunked_ && line_length_max_ == 0 && !downgrade_;
}

std::string_view OutgoingEncoder::encode(std::string_view piece) {
    if (!downgrade_) return transform(piece);
    converted_.clear();
    downgrade_->write(piece, converted_);
    return transform(converted_);
}

std::string_view OutgoingEncoder::finish() {
    converted_.clear();
    if (downgrade_) downgrade_->finish(converted_);
    const std::string_view rest = transform(converted_);
    if (chunked_) return rest;
    // The end mark is one only at the start of a line.
    std::string last(rest);
    if (!at_line_start_) last += "\r\n";
    stuffed_ = last + ".\r\n";
    return stuffed_;
}

std::string_view OutgoingEncoder::transform(std::string_view text) {
    if (line_length_max_ > 0) {
        folded_.clear();
        fold(text);
        text = folded_;
    }
    return chunked_ ? text : stuff_dots(text);
}

void OutgoingEncoder::fold(std::string_view text) {
    while (!text.empty()) {
        // In canonical content, CR and LF are always the two halves of a line end.
        if (text.front() == '\r' || text.front() == '\n') {
            folded_ += text.front();
            text.remove_prefix(1);
            column_ = 0;
            continue;
        }
        auto run = text.substr(0, text.find('\r'));
        text.remove_prefix(run.size());
        while (column_ + run.size() > line_length_max_) {
            const auto room = line_length_max_ - column_;
            folded_.append(run.substr(0, room)).append("\r\n ");
            run.remove_prefix(room);
            column_ = 1;
            broke_line_ = true;
        }
        folded_ += run;
        column_ += run.size();
    }
}

/// Doubles a dot that begins a line (RFC 5321 4.5.2). Looking for LF alone is enough in canonical
/// content, and safe in any other: a server that takes a bare LF for a line end finds no end mark.
std::string_view OutgoingEncoder::stuff_dots(std::string_view text) {
    if (text.empty()) return text;
    stuffed_.clear();
    const char* const end = text.data() + text.size();
    const char* copied = text.data();  // Up to here, `text` is in stuffed_.
    const auto stuff_at = [&](const char* dot) {
        stuffed_.append(copied, dot);
        stuffed_ += '.';
        copied = dot;
    };
    if (at_line_start_ && text.front() == '.') stuff_at(text.data());
    const char* at = text.data();
    while (const void* found = std::memchr(at, '\n', static_cast<std::size_t>(end - at))) {
        at = static_cast<const char*>(found) + 1;
        if (at == end) break;
        if (*at == '.') stuff_at(at);
    }
    at_line_start_ = text.back() == '\n';
    if (stuffed_.empty()) return text;
    stuffed_.append(copied, end);
    return stuffed_;
}

bool needs_downgrade(bool has_8bit, bool declared_7bit, bool server_offers_8bitmime,
                     bool conversion_disabled) {
    return has_8bit && !declared_7bit && !server_offers_8bitmime && !conversion_disabled;
}

}  // namespace postrider::message
