#include "smtp/reply.h"

#include "core/ascii.h"
#include "core/log.h"

namespace postrider::smtp {

namespace {

constexpr std::size_t kLogTextMax = 2000;

template <typename Append>
void for_each_line(const Reply& reply, Append append) {
    const std::string code = std::to_string(reply.code);
    if (reply.lines.empty()) append(code + " ");
    for (std::size_t i = 0; i < reply.lines.size(); ++i)
        append(code + (i + 1 < reply.lines.size() ? "-" : " ") + reply.lines[i]);
}

}  // namespace

std::optional<mail::EnhancedStatus> Reply::status() const {
    if (lines.empty()) return std::nullopt;
    std::string_view text = lines.back();
    while (!text.empty() && text.front() == ' ') text.remove_prefix(1);
    auto status = mail::parse_status(text);
    if (status && status->status_class != code / 100) return std::nullopt;
    return status;
}

mail::EnhancedStatus Reply::status_or_generic() const {
    if (auto given = status()) return *given;
    if (is_positive() || is_transient() || is_permanent()) return {code / 100, 0, 0};
    return {5, 5, 0};
}

std::string wire(const Reply& reply) {
    std::string out;
    for_each_line(reply, [&](std::string line) {
        for (char& c : line)
            if (is_ascii_control(c) && c != '\t') c = '?';
        out += line;
        out += "\r\n";
    });
    return out;
}

std::string log_text(const Reply& reply) {
    std::string out;
    for_each_line(reply, [&](const std::string& line) {
        if (out.size() >= kLogTextMax) return;
        if (!out.empty()) out += ' ';
        out += line;
    });
    if (out.size() > kLogTextMax) out.resize(kLogTextMax);
    return printable(trimmed(out));
}

}  // namespace postrider::smtp
