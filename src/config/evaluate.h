// One parameter's text as the value its row in the registry asks for.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "config/parameters.h"
#include "core/result.h"

namespace postrider::config {

struct Value {
    std::string text;         ///< Expanded.
    std::int64_t number = 0;  ///< Of a Boolean 0 or 1, of an Integer itself, of a Time its seconds.
};

/// Checks type, range and choice. The error has Postfix's words, then what would be right:
/// `bad boolean configuration: NAME = VALUE (write yes or no)`.
Result<Value> evaluate(const Parameter&, std::string expanded_text);

/// The same under another name: for what transports have under names of their own.
Result<Value> evaluate(std::string_view name, const Parameter& like, std::string expanded_text);

}  // namespace postrider::config
