#include "table/list_syntax.h"

#include "core/ascii.h"

namespace postrider::table {
namespace {

bool is_separator(char c) {
    return c == ',' || c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/// Of the balanced `{...}` at the start; 0 if it is not closed.
std::size_t balanced_length(std::string_view text) {
    std::size_t depth = 0;
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (text[i] == '{') ++depth;
        if (text[i] == '}' && --depth == 0) return i + 1;
    }
    return 0;
}

}  // namespace

std::vector<std::string> split_list(std::string_view list) {
    std::vector<std::string> items;
    std::size_t i = 0;
    while (i < list.size()) {
        if (is_separator(list[i])) {
            ++i;
            continue;
        }
        const std::size_t start = i;
        std::size_t depth = 0;
        for (; i < list.size() && (depth > 0 || !is_separator(list[i])); ++i) {
            if (list[i] == '{') ++depth;
            if (list[i] == '}' && depth > 0) --depth;
        }
        items.emplace_back(list.substr(start, i - start));
    }
    return items;
}

Result<std::string> inside_braces(std::string_view text) {
    const std::string quoted = "\"" + std::string(text) + "\"";
    if (text.empty() || text.front() != '{')
        return Unexpected(ErrorCode::Invalid, "no '{' at start of text in " + quoted);
    const std::size_t length = balanced_length(text);
    if (length == 0) return Unexpected(ErrorCode::Invalid, "missing '}' in " + quoted);
    if (length != text.size())
        return Unexpected(ErrorCode::Invalid, "syntax error after '}' in " + quoted);
    return std::string(trimmed(text.substr(1, length - 2)));
}

Result<std::size_t> key_length(std::string_view text, char stop) {
    bool quoted = false;
    std::size_t i = 0;
    for (; i < text.size(); ++i) {
        const char c = text[i];
        if (c == '\\') {
            if (++i == text.size()) break;
        } else if (is_ascii_space(c) || c == stop) {
            if (!quoted) break;
        } else if (c == '"') {
            quoted = !quoted;
        }
    }
    if (quoted) return Unexpected(ErrorCode::Invalid, "unbalanced '\"'");
    return i;
}

Result<std::pair<std::string, std::string>> split_assignment(std::string_view text) {
    text = trimmed(text);
    if (text.empty())
        return Unexpected(ErrorCode::Invalid, "no key found; expected format: key = value");
    const auto length = key_length(text, '=');
    if (!length) return Unexpected(length.error());
    const std::string_view rest = trimmed(text.substr(*length));
    if (rest.empty() || rest.front() != '=')
        return Unexpected(ErrorCode::Invalid, "missing '=' after attribute name");
    return std::pair(std::string(text.substr(0, *length)), std::string(trimmed(rest.substr(1))));
}

}  // namespace postrider::table
