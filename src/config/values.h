// Texts of main.cf as values: booleans, numbers, times, lists.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace postrider::config {

/// `yes` or `no`, in any case, and nothing else.
std::optional<bool> parse_boolean(std::string_view text);

/// Decimal with an optional sign, nothing before or after it, within 64 bits.
std::optional<std::int64_t> parse_integer(std::string_view text);

/// A number that is not negative and a unit: s, m, h, d or w; `default_unit` when there is none.
/// At most 2^31-1 seconds.
std::optional<std::chrono::seconds> parse_time(std::string_view text, char default_unit);

/// Splits at comma, space, tab, CR and LF, any number of them. A `{` keeps everything up to its `}`
/// in one item, braces included: `a, regexp:{{/x y/ z}}` has two items.
std::vector<std::string> split_list(std::string_view text);

/// A DNS name as a host may have it: labels of letters, digits, `-` and `_`; UTF-8 may stand in
/// labels; not a number.
bool is_host_name(std::string_view name);

}  // namespace postrider::config
