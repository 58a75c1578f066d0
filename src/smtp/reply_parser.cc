#include "smtp/reply_parser.h"

#include <algorithm>
#include <utility>

#include "core/ascii.h"
#include "core/log.h"

namespace postrider::smtp {

namespace {

constexpr std::size_t kExcerptMax = 100;

bool is_reply_line(std::string_view line) {
    if (line.size() < 3 || !std::all_of(line.begin(), line.begin() + 3, is_ascii_digit))
        return false;
    return line.size() == 3 || line[3] == ' ' || line[3] == '-';
}

std::string excerpt(std::string_view text) {
    return printable(text.substr(0, kExcerptMax));
}

}  // namespace

void ReplyParser::append(std::string_view bytes) {
    if (failure_) return;
    buffer_.erase(0, std::exchange(start_, 0));
    buffer_ += bytes;
}

bool ReplyParser::pending() const {
    return start_ < buffer_.size() || !line_.empty() || line_truncated_ || partial_.code != 0;
}

Result<std::optional<Reply>> ReplyParser::next() {
    if (failure_) return Unexpected(*failure_);
    while (auto line = next_line()) {
        auto complete = add_line(*line);
        if (!complete) return Unexpected(std::move(complete).error());
        if (*complete) return std::optional<Reply>(std::exchange(partial_, Reply()));
    }
    return std::optional<Reply>();
}

/// The next line without its end, cut at kLineLengthMax; nothing if it is not complete yet.
std::optional<std::string> ReplyParser::next_line() {
    const std::string_view rest = std::string_view(buffer_).substr(start_);
    const std::size_t end = rest.find('\n');
    const std::string_view found = rest.substr(0, end);
    const std::size_t room = kLineLengthMax + 1 - std::min(line_.size(), kLineLengthMax + 1);
    // One byte more than allowed is kept, as it may be the CR of the line end.
    line_ += found.substr(0, room);
    line_truncated_ = line_truncated_ || found.size() > room;
    if (end == std::string_view::npos) {
        start_ = buffer_.size();
        return std::nullopt;
    }
    start_ += end + 1;

    std::string line = std::exchange(line_, {});
    const bool truncated = std::exchange(line_truncated_, false);
    if (!truncated && !line.empty() && line.back() == '\r') line.pop_back();
    line.resize(std::min(line.size(), kLineLengthMax));
    return line;
}

/// True when the reply is complete.
Result<bool> ReplyParser::add_line(const std::string& line) {
    if (!is_reply_line(line)) return fail("non-ESMTP response: " + excerpt(line));
    const int code = (line[0] - '0') * 100 + (line[1] - '0') * 10 + (line[2] - '0');
    if (code < 200 || code > 599) return fail("reply code out of range: " + excerpt(line));
    if (partial_.code != 0 && partial_.code != code)
        return fail("one reply with codes " + std::to_string(partial_.code) + " and " +
                    std::to_string(code));
    if (partial_.lines.size() == kLineCountMax)
        return fail("reply of more than " + std::to_string(kLineCountMax) + " lines");

    partial_.code = code;
    partial_.lines.push_back(
        printable(line.size() > 4 ? std::string_view(line).substr(4) : std::string_view()));
    return line.size() == 3 || line[3] == ' ';
}

Unexpected ReplyParser::fail(std::string message) {
    failure_ = Error{ErrorCode::Protocol, std::move(message)};
    buffer_.clear();
    start_ = 0;
    line_.clear();
    return Unexpected(*failure_);
}

}  // namespace postrider::smtp
