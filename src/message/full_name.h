// A person's name in a From: field.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace postrider::message {

/// As the phrase in `phrase <address>`: quoted where RFC 5322 wants it, encoded (RFC 2047) where
/// it is not ASCII, with LF between encoded words. Control characters become spaces. Empty if
/// nothing is left of it.
std::string phrase(std::string_view full_name, std::string_view charset);

/// As the comment in `address (comment)`, without the parentheses.
std::string comment(std::string_view full_name, std::string_view charset);

}  // namespace postrider::message
