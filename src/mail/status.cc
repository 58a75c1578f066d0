#include "mail/status.h"

#include <charconv>

#include "core/ascii.h"

namespace postrider::mail {
namespace {

struct Parsed {
    EnhancedStatus status;
    std::size_t length;
};

std::optional<Parsed> parse(std::string_view text) {
    int part[3] = {};
    std::size_t at = 0;
    for (int i = 0; i < 3; ++i) {
        const std::size_t start = at;
        while (at < text.size() && is_ascii_digit(text[at])) ++at;
        if (at == start || at - start > 3) return std::nullopt;
        std::from_chars(text.data() + start, text.data() + at, part[i]);
        if (i < 2 && (at == text.size() || text[at++] != '.')) return std::nullopt;
    }
    if (part[0] != 2 && part[0] != 4 && part[0] != 5) return std::nullopt;
    if (at < text.size() && text[at] != ' ') return std::nullopt;
    return Parsed{{part[0], part[1], part[2]}, at};
}

}  // namespace

std::string to_string(EnhancedStatus status) {
    return std::to_string(status.status_class) + "." + std::to_string(status.subject) + "." +
           std::to_string(status.detail);
}

std::optional<EnhancedStatus> parse_status(std::string_view text) {
    const auto parsed = parse(text);
    if (!parsed) return std::nullopt;
    return parsed->status;
}

std::string_view after_status(std::string_view text) {
    if (const auto parsed = parse(text)) text.remove_prefix(parsed->length);
    while (!text.empty() && text.front() == ' ') text.remove_prefix(1);
    return text;
}

}  // namespace postrider::mail
