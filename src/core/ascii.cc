#include "core/ascii.h"

#include <algorithm>
#include <cstdint>
#include <cstring>

namespace postrider {

std::string ascii_lowercase(std::string_view text) {
    std::string result(text);
    std::transform(result.begin(), result.end(), result.begin(), ascii_lower);
    return result;
}

std::string ascii_uppercase(std::string_view text) {
    std::string result(text);
    std::transform(result.begin(), result.end(), result.begin(), ascii_upper);
    return result;
}

bool starts_with_ignoring_case(std::string_view text, std::string_view prefix) {
    return text.size() >= prefix.size() &&
           equals_ignoring_case(text.substr(0, prefix.size()), prefix);
}

std::string_view trimmed(std::string_view text) {
    while (!text.empty() && is_ascii_space(text.front())) text.remove_prefix(1);
    while (!text.empty() && is_ascii_space(text.back())) text.remove_suffix(1);
    return text;
}

// A word at a time: the content of every message passes here.
bool is_ascii(std::string_view text) {
    std::uint64_t seen = 0;
    const char* at = text.data();
    std::size_t left = text.size();
    for (; left >= sizeof seen; at += sizeof seen, left -= sizeof seen) {
        std::uint64_t word;
        std::memcpy(&word, at, sizeof word);
        seen |= word;
    }
    for (; left > 0; ++at, --left) seen |= static_cast<unsigned char>(*at);
    return (seen & 0x8080808080808080U) == 0;
}

bool is_utf8(std::string_view text) {
    if (is_ascii(text)) return true;
    std::size_t i = 0;
    const auto byte = [&](std::size_t at) { return static_cast<unsigned char>(text[at]); };
    const auto follows = [&](std::size_t at) {
        return at < text.size() && (byte(at) & 0xc0) == 0x80;
    };
    while (i < text.size()) {
        const unsigned char c = byte(i);
        if (c < 0x80) {
            i += 1;
        } else if (c >= 0xc2 && c <= 0xdf && follows(i + 1)) {
            i += 2;
        } else if (c >= 0xe0 && c <= 0xef && follows(i + 1) && follows(i + 2)) {
            if (c == 0xe0 && byte(i + 1) < 0xa0) return false;  // Overlong.
            if (c == 0xed && byte(i + 1) > 0x9f) return false;  // Surrogates.
            i += 3;
        } else if (c >= 0xf0 && c <= 0xf4 && follows(i + 1) && follows(i + 2) && follows(i + 3)) {
            if (c == 0xf0 && byte(i + 1) < 0x90) return false;  // Overlong.
            if (c == 0xf4 && byte(i + 1) > 0x8f) return false;  // Above U+10FFFF.
            i += 4;
        } else {
            return false;
        }
    }
    return true;
}

}  // namespace postrider
