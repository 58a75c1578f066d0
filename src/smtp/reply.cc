#include "smtp/reply.h"

#include <algorithm>
#include <cstddef>
#include <string_view>

#include "core/ascii.h"
#include "core/log.h"
#include "core/text.h"

namespace postrider::smtp {

namespace {

constexpr std::size_t kLogTextMax = 2000;

/// Calls `take` with `250-` or `250 ` and the text behind it.
template <typename Take>
void for_each_line(const Reply& reply, Take take) {
    std::string code = std::to_string(reply.code) + "-";
    for (std::size_t i = 0; i + 1 < reply.lines.size(); ++i) take(code, reply.lines[i]);
    code.back() = ' ';
    take(code, reply.lines.empty() ? std::string_view() : reply.lines.back());
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
    append_wire(out, reply);
    return out;
}

void append_wire(std::string& out, const Reply& reply) {
    for_each_line(reply, [&](std::string_view code, std::string_view text) {
        append(out, {code, text, "\r\n"});
        const auto end = out.end() - 2;
        std::replace_if(
            end - static_cast<std::ptrdiff_t>(text.size()), end,
            [](char c) { return is_ascii_control(c) && c != '\t'; }, '?');
    });
}

std::string log_text(const Reply& reply) {
    std::string out;
    for_each_line(reply, [&](std::string_view code, std::string_view text) {
        if (out.size() >= kLogTextMax) return;
        append(out, {out.empty() ? "" : " ", code, text});
    });
    if (out.size() > kLogTextMax) out.resize(kLogTextMax);
    return printable(trimmed(out));
}

}  // namespace postrider::smtp
