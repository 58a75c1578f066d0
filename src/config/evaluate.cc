#include "config/evaluate.h"

#include <algorithm>

#include "config/values.h"
#include "core/ascii.h"

namespace postrider::config {
namespace {

Unexpected invalid(std::string message) {
    return Unexpected(ErrorCode::Invalid, std::move(message));
}

std::string setting(std::string_view name, std::string_view value) {
    return std::string(name) + " = " + std::string(value);
}

Result<Value> boolean(std::string_view name, bool may_be_empty, std::string text) {
    const auto truth = text.empty() && may_be_empty ? std::optional(false) : parse_boolean(text);
    if (!truth)
        return invalid("bad boolean configuration: " + setting(name, text) + " (write yes or no)");
    return Value{std::move(text), *truth ? 1 : 0};
}

Result<Value> integer(std::string_view name, const Range& range, std::string text) {
    const auto number = parse_integer(text);
    if (!number) {
        const bool has_suffix = !text.empty() && is_ascii_digit(text.front());
        return invalid(
            "bad numerical configuration: " + setting(name, text) +
            (has_suffix ? " (write a whole number without suffix)" : " (write a whole number)"));
    }
    const auto out_of_range = [&](std::string_view relation, std::int64_t bound) {
        return invalid("invalid " + std::string(name) + " parameter value " + text + " " +
                       std::string(relation) + " " + std::to_string(bound));
    };
    if (*number < range.min) return out_of_range("<", range.min);
    if (range.max != 0 && *number > range.max) return out_of_range(">", range.max);
    return Value{std::move(text), *number};
}

Result<Value> time(std::string_view name, const Range& range, char unit, std::string text) {
    const auto parsed = parse_time(text, unit);
    if (!parsed)
        return invalid("parameter " + std::string(name) + ": bad time value or unit: " + text +
                       " (write a number and one of s, m, h, d, w)");
    const auto seconds = parsed->count();
    const auto out_of_range = [&](std::string_view word, std::int64_t bound) {
        return invalid("invalid " + std::string(name) + ": " + std::to_string(seconds) + " (" +
                       std::string(word) + " " + std::to_string(bound) + " seconds)");
    };
    if (seconds < range.min) return out_of_range("min", range.min);
    if (range.max != 0 && seconds > range.max) return out_of_range("max", range.max);
    return Value{std::move(text), seconds};
}

Result<Value> choice(std::string_view name, const Parameter& row, std::string text) {
    const auto words = split_list(row.choices);
    if (text.empty() && row.range.min == 0) return Value{std::move(text)};
    const auto at = std::find_if(words.begin(), words.end(), [&](const std::string& word) {
        return equals_ignoring_case(word, text);
    });
    if (at != words.end()) return Value{*at};
    std::string list;
    for (const auto& word : words) (list += list.empty() ? "" : ", ") += word;
    return invalid("bad value: " + setting(name, text) + " (write one of: " + list + ")");
}

Result<Value> string(std::string_view name, const Range& range, std::string text) {
    const auto length = static_cast<std::int64_t>(text.size());
    const auto out_of_range = [&](std::string_view relation, std::int64_t bound) {
        return invalid("bad string length " + std::to_string(length) + " " + std::string(relation) +
                       " " + std::to_string(bound) + ": " + setting(name, text));
    };
    if (length < range.min) return out_of_range("<", range.min);
    if (range.max != 0 && length > range.max) return out_of_range(">", range.max);
    return Value{std::move(text)};
}

}  // namespace

Result<Value> evaluate(const Parameter& row, std::string text) {
    return evaluate(row.name, row, std::move(text));
}

Result<Value> evaluate(std::string_view name, const Parameter& like, std::string text) {
    switch (like.type) {
        case Type::Boolean:
            // Old names, kept for their successors' defaults, have no value of their own.
            return boolean(name, like.default_value.empty(), std::move(text));
        case Type::Integer:
            return integer(name, like.range, std::move(text));
        case Type::Time:
            return time(name, like.range, default_unit(like), std::move(text));
        case Type::Choice:
            return choice(name, like, std::move(text));
        case Type::Text:
        case Type::List:
        case Type::Tables:
        case Type::Path:
            return string(name, like.range, std::move(text));
    }
    return Value{std::move(text)};
}

}  // namespace postrider::config
