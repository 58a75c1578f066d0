#include "core/log.h"

#include <algorithm>

#include "core/ascii.h"

namespace postrider {
namespace {

// syslog(3) senders cut here, and analysers expect no more.
constexpr std::size_t kLineLengthMax = 2000;

/// In UTF-8, what a terminal obeys instead of showing it: C1 controls, marks that turn the
/// direction of the text, separators of lines.
constexpr struct {
    std::string_view first;
    std::string_view last;
} kObeyed[] = {
    {"\xc2\x80", "\xc2\x9f"},         {"\xd8\x9c", "\xd8\x9c"},
    {"\xe2\x80\x8e", "\xe2\x80\x8f"}, {"\xe2\x80\xa8", "\xe2\x80\xae"},
    {"\xe2\x81\xa6", "\xe2\x81\xa9"},
};

/// The size of such a character at the beginning of the text, or 0.
std::size_t obeyed_size(std::string_view text) {
    for (const auto& [first, last] : kObeyed) {
        const std::string_view begin = text.substr(0, first.size());
        if (begin >= first && begin <= last) return first.size();
    }
    return 0;
}

/// Nothing but ASCII that prints: nearly every line.
bool is_plain(std::string_view text) {
    return std::all_of(text.begin(), text.end(), [](char c) { return c >= ' ' && c <= '~'; });
}

}  // namespace

std::string_view severity_prefix(Severity severity) {
    switch (severity) {
        case Severity::Info:
            return "";
        case Severity::Warning:
            return "warning: ";
        case Severity::Error:
            return "error: ";
        case Severity::Fatal:
            return "fatal: ";
        case Severity::Panic:
            return "panic: ";
    }
    return "";
}

std::string printable(std::string_view text) {
    if (is_plain(text)) return std::string(text);
    const bool keep_utf8 = is_utf8(text);
    std::string result(text);
    for (std::size_t at = 0; at < result.size(); ++at) {
        char& c = result[at];
        if (is_ascii_control(c) || (!keep_utf8 && !is_ascii(c))) {
            c = '?';
        } else if (!is_ascii(c)) {
            const std::size_t size = obeyed_size(text.substr(at));
            result.replace(at, size, size, '?');
            at += size > 0 ? size - 1 : 0;
        }
    }
    return result;
}

void Log::write(Severity severity, std::string_view text) const {
    const std::lock_guard one_line(sink_->one_line_);
    const std::string_view line = text.substr(0, kLineLengthMax);
    if (is_plain(line)) return sink_->write(severity, program_, line);
    sink_->write(severity, program_, printable(line));
}

void CapturedLog::write(Severity severity, std::string_view program, std::string_view text) {
    std::string line(program);
    line.append(": ").append(severity_prefix(severity)).append(text);
    lines_.push_back(std::move(line));
}

}  // namespace postrider
