// Base64, RFC 4648 section 4.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace postrider {

std::string base64(std::string_view bytes);

/// Strict: padding where it belongs, no white space, no stray bits. Nothing otherwise.
std::optional<std::string> decode_base64(std::string_view text);

}  // namespace postrider
