#include "message/full_name.h"

#include <algorithm>

#include <fmt/format.h>

#include "core/ascii.h"

namespace postrider::message {
namespace {

// RFC 2047 2: an encoded word has at most 75 characters.
constexpr std::size_t kEncodedWordMax = 75;
constexpr std::size_t kFullNameMax = 1000;

std::string cleaned(std::string_view full_name) {
    std::string text(trimmed(full_name.substr(0, kFullNameMax)));
    std::replace_if(
        text.begin(), text.end(), [](char c) { return is_ascii_control(c); }, ' ');
    return std::string(trimmed(text));
}

bool is_phrase_character(char c) {
    return is_ascii_alnum(c) || c == ' ' ||
           std::string_view("!#$%&'*+-/=?^_`{|}~").find(c) != std::string_view::npos;
}

std::string escaped(std::string_view text, std::string_view characters) {
    std::string result;
    for (const char c : text) {
        if (characters.find(c) != std::string_view::npos) result += '\\';
        result += c;
    }
    return result;
}

bool starts_character(char c) {
    return (static_cast<unsigned char>(c) & 0xc0) != 0x80;
}

// RFC 2047 5 (3): what may stand unencoded in a phrase, and with it everywhere else.
std::string q_encoded(char c) {
    if (c == ' ') return "_";
    if (is_ascii_alnum(c) || c == '!' || c == '*' || c == '+' || c == '-' || c == '/') {
        return std::string(1, c);
    }
    return fmt::format("={:02X}", static_cast<unsigned char>(c));
}

/// One or more encoded words with LF between them; none ends inside a character (RFC 2047 5).
std::string encoded_words(std::string_view text, std::string_view charset) {
    const std::string start = fmt::format("=?{}?Q?", charset);
    std::string result;
    std::string word;
    while (!text.empty()) {
        std::size_t length = 1;
        while (length < text.size() && !starts_character(text[length])) ++length;
        std::string character;
        for (const char c : text.substr(0, length)) character += q_encoded(c);
        if (!word.empty() && start.size() + word.size() + character.size() + 2 > kEncodedWordMax) {
            result += start + word + "?=\n";
            word.clear();
        }
        word += character;
        text.remove_prefix(length);
    }
    return result + start + word + "?=";
}

}  // namespace

std::string phrase(std::string_view full_name, std::string_view charset) {
    const std::string text = cleaned(full_name);
    if (!is_ascii(text)) return encoded_words(text, charset);
    if (std::all_of(text.begin(), text.end(), is_phrase_character)) return text;
    return "\"" + escaped(text, "\"\\") + "\"";
}

std::string comment(std::string_view full_name, std::string_view charset) {
    const std::string text = cleaned(full_name);
    if (!is_ascii(text)) return encoded_words(text, charset);
    return escaped(text, "()\\");
}

}  // namespace postrider::message
