// Case folding of keys.
#pragma once

#include <string>
#include <string_view>

namespace postrider::table {

/// `key` in lower case: ASCII, and with `utf8` every letter that has a lower case of one character,
/// provided the key is UTF-8. Prepares what it needs of the system at its first call, which opening
/// a table makes.
std::string folded(std::string_view key, bool utf8);

}  // namespace postrider::table
