#include "config/values.h"

#include <charconv>
#include <limits>

#include "core/ascii.h"

namespace postrider::config {
namespace {

constexpr std::string_view kSeparators = ", \t\r\n";

/// Seconds in a unit; 0 if it is none.
constexpr std::int64_t seconds_in(char unit) {
    switch (unit) {
        case 's':
            return 1;
        case 'm':
            return 60;
        case 'h':
            return 60 * 60;
        case 'd':
            return 24 * 60 * 60;
        case 'w':
            return 7 * 24 * 60 * 60;
        default:
            return 0;
    }
}

/// The end of the item that begins at `start`.
std::size_t item_end(std::string_view text, std::size_t start) {
    int depth = 0;
    std::size_t at = start;
    for (; at < text.size(); ++at) {
        if (text[at] == '{') ++depth;
        if (text[at] == '}' && depth > 0) --depth;
        if (depth == 0 && kSeparators.find(text[at]) != kSeparators.npos) break;
    }
    return at;
}

}  // namespace

std::optional<bool> parse_boolean(std::string_view text) {
    if (equals_ignoring_case(text, "yes")) return true;
    if (equals_ignoring_case(text, "no")) return false;
    return std::nullopt;
}

std::optional<std::int64_t> parse_integer(std::string_view text) {
    if (text.starts_with('+') && text.size() > 1 && is_ascii_digit(text[1])) text.remove_prefix(1);
    std::int64_t number = 0;
    const auto* const end = text.data() + text.size();
    const auto [rest, problem] = std::from_chars(text.data(), end, number);
    if (problem != std::errc() || rest != end) return std::nullopt;
    return number;
}

std::optional<std::chrono::seconds> parse_time(std::string_view text, char default_unit) {
    std::int64_t number = 0;
    const auto* const end = text.data() + text.size();
    const auto [rest, problem] = std::from_chars(text.data(), end, number);
    if (problem != std::errc() || number < 0) return std::nullopt;
    // As in Postfix, only the first character after the number is looked at.
    const auto unit = seconds_in(rest == end ? default_unit : *rest);
    constexpr std::int64_t kTimeMax = std::numeric_limits<std::int32_t>::max();
    if (unit == 0 || number > kTimeMax / unit) return std::nullopt;
    return std::chrono::seconds(number * unit);
}

std::vector<std::string> split_list(std::string_view text) {
    std::vector<std::string> items;
    for (std::size_t at = 0;;) {
        at = text.find_first_not_of(kSeparators, at);
        if (at == text.npos) return items;
        const auto end = item_end(text, at);
        items.emplace_back(text.substr(at, end - at));
        at = end;
    }
}

bool is_host_name(std::string_view name) {
    constexpr std::size_t kNameMax = 255;
    constexpr std::size_t kLabelMax = 63;
    if (name.empty() || name.size() > kNameMax) return false;
    if (name.find_first_not_of("0123456789.") == name.npos) return false;
    while (!name.empty()) {
        const auto label = name.substr(0, name.find('.'));
        const bool is_last = label.size() == name.size();
        if (label.empty() || label.size() > kLabelMax || label.front() == '-' ||
            label.back() == '-')
            return false;
        for (const char c : label)
            if (is_ascii(c) && !is_ascii_alnum(c) && c != '-' && c != '_') return false;
        if (is_last) return true;
        name.remove_prefix(label.size() + 1);
    }
    return false;
}

}  // namespace postrider::config
