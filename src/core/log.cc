#include "core/log.h"

#include "core/ascii.h"

namespace postrider {
namespace {

// syslog(3) senders cut here, and analysers expect no more.
constexpr std::size_t kLineLengthMax = 2000;

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
    const bool keep_utf8 = is_utf8(text);
    std::string result(text);
    for (char& c : result) {
        if (is_ascii_control(c) || (!keep_utf8 && !is_ascii(c))) c = '?';
    }
    return result;
}

void Log::write(Severity severity, std::string_view text) const {
    const std::lock_guard one_line(sink_->one_line_);
    sink_->write(severity, program_, printable(text.substr(0, kLineLengthMax)));
}

void CapturedLog::write(Severity severity, std::string_view program, std::string_view text) {
    std::string line(program);
    line.append(": ").append(severity_prefix(severity)).append(text);
    lines_.push_back(std::move(line));
}

}  // namespace postrider
