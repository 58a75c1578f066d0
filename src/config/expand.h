// `$name` and its kin in values of main.cf.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/result.h"

namespace postrider::config {

/// The unexpanded value of a parameter; nullopt if there is none. What it views must live until
/// expand() returns.
using Lookup = std::function<std::optional<std::string_view>(std::string_view name)>;

/// Nesting of references that is still taken for meant.
inline constexpr int kExpansionLevelsMax = 100;
/// References followed, and bytes produced, in the expansion of one value. Without these, a few
/// lines such as `a = $b$b` would keep a program busy for ever.
inline constexpr int kExpansionStepsMax = 20'000;
inline constexpr std::size_t kExpansionSizeMax = 1 << 20;

/// `text` with every reference replaced:
///
///     $name ${name} $(name)        the value, itself expanded; nothing if there is none
///     $$                           a dollar sign
///     ${name?text} ${name:text}    text if the value is not empty; if it is empty
///     ${name?{yes}:{no}}           either
///     ${{l} == {r} ? {yes} : {no}} by comparison: == != < <= > >=; as numbers where both sides are
///                                  all digits; without `?`, `true` or nothing
///     ${{l} <=level {r} ...}       by comparison of compatibility levels, `3.6` < `3.11`
///     ${domain_to_ascii{x}} ${domain_to_utf8{x}}   x, where it is all ASCII
///
/// Errors carry Postfix's words: `truncated macro reference: "..."`.
Result<std::string> expand(std::string_view text, const Lookup& lookup);

/// The names that `text` refers to, in all branches. Malformed references end the search.
std::vector<std::string> referenced_names(std::string_view text);

/// A compatibility level as one number, `3.6` as 3006000; nullopt if malformed. At most three
/// numbers, each below 1000.
std::optional<long> parse_level(std::string_view text);

}  // namespace postrider::config
