// Texts put together without a format that would have to be read first: for what is said of every
// message.
#pragma once

#include <cstddef>
#include <initializer_list>
#include <string>
#include <string_view>

namespace postrider {

/// At the end of `text`.
inline void append(std::string& text, std::initializer_list<std::string_view> parts) {
    std::size_t size = text.size();
    for (const std::string_view part : parts) size += part.size();
    text.reserve(size);
    for (const std::string_view part : parts) text.append(part);
}

/// One behind the other.
inline std::string concat(std::initializer_list<std::string_view> parts) {
    std::string text;
    append(text, parts);
    return text;
}

/// A number with what it lacks of `width` in front of it.
inline std::string padded(long number, std::size_t width, char fill = '0') {
    std::string digits = std::to_string(number);
    if (digits.size() < width) digits.insert(0, width - digits.size(), fill);
    return digits;
}

}  // namespace postrider
