// Lists as main.cf writes them: items between commas and white space, `{...}` keeping its inside.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/result.h"

namespace postrider::table {

/// The items; a `{...}` item keeps its braces.
std::vector<std::string> split_list(std::string_view list);

/// The text between the braces that enclose all of `text`, trimmed; the error is Postfix's.
Result<std::string> inside_braces(std::string_view text);

/// `key = value`; the key may hold quoted white space and equal signs, and keeps its quotes.
Result<std::pair<std::string, std::string>> split_assignment(std::string_view text);

/// The length of the key at the start of `text`: up to white space (or `stop`) that is neither in
/// quotes nor behind a backslash. Nothing if a quote stays open.
Result<std::size_t> key_length(std::string_view text, char stop = ' ');

}  // namespace postrider::table
