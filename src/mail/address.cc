#include "mail/address.h"

#include <algorithm>

#include "core/ascii.h"
#include "core/text.h"

namespace postrider::mail {
namespace {

// RFC 5321 4.1.2 atext; UTF-8 is allowed by RFC 6531 3.3.
bool is_atext(char c) {
    constexpr CharSet marks("!#$%&'*+-/=?^_`{|}~");
    return is_ascii_alnum(c) || !is_ascii(c) || marks.has(c);
}

bool is_dot_string(std::string_view text) {
    if (text.empty() || text.front() == '.' || text.back() == '.') return false;
    if (text.find("..") != std::string_view::npos) return false;
    return std::all_of(text.begin(), text.end(), [](char c) { return c == '.' || is_atext(c); });
}

}  // namespace

std::string external(const Address& address) {
    if (address.is_null()) return {};
    std::string result;
    if (is_dot_string(address.local_part)) {
        result = address.local_part;
    } else {
        result = "\"";
        for (const char c : address.local_part) {
            if (c == '"' || c == '\\') result += '\\';
            result += c;
        }
        result += '"';
    }
    if (!address.domain.empty()) append(result, {"@", address.domain});
    return result;
}

std::string internal(const Address& address) {
    if (address.domain.empty()) return address.local_part;
    return concat({address.local_part, "@", address.domain});
}

std::optional<Address> parse_address(std::string_view text) {
    std::string local;
    std::optional<std::size_t> at;  // Length of `local` before the last unquoted `@`.
    bool quoted = false;
    bool any_quotes = false;
    for (std::size_t i = 0; i < text.size(); ++i) {
        char c = text[i];
        if (is_ascii_control(c)) return std::nullopt;
        if (c == '"') {
            quoted = !quoted;
            any_quotes = true;
            continue;
        }
        if (c == '\\') {
            if (++i == text.size()) return std::nullopt;
            c = text[i];
            if (is_ascii_control(c)) return std::nullopt;
        } else if (c == '@' && !quoted) {
            at = local.size();
        }
        local += c;
    }
    if (quoted) return std::nullopt;
    if (!at) {
        if (local.empty() && any_quotes) return std::nullopt;
        return Address(std::move(local), {});
    }
    std::string domain = local.substr(*at + 1);
    local.resize(*at);
    if (local.empty() && !any_quotes) return std::nullopt;
    if (!is_domain_text(domain)) return std::nullopt;
    return Address(std::move(local), std::move(domain));
}

bool is_domain_text(std::string_view text) {
    constexpr CharSet foreign(" \"<>\\,;()@");
    bool literal = false;
    for (const char c : text) {
        if (is_ascii_control(c) || foreign.has(c)) return false;
        if (c == (literal ? '[' : ']')) return false;
        if (c == '[' || c == ']') literal = !literal;
    }
    return !literal;
}

bool same_mailbox(const Address& a, const Address& b) {
    return a.local_part == b.local_part && equals_ignoring_case(a.domain, b.domain);
}

}  // namespace postrider::mail
