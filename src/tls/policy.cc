#include "tls/policy.h"

#include <array>
#include <charconv>
#include <utility>

#include <fmt/format.h>

#include "core/ascii.h"

namespace postrider::tls {
namespace {

constexpr std::string_view kSeparators = ", \t\r\n:";

constexpr std::array<std::pair<Level, std::string_view>, 6> kLevels = {{
    {Level::None, "none"},
    {Level::May, "may"},
    {Level::Encrypt, "encrypt"},
    {Level::Fingerprint, "fingerprint"},
    {Level::Verify, "verify"},
    {Level::Secure, "secure"},
}};

// Versions by their number on the wire. SSLv2 may be named, but nobody has it any more.
constexpr int kSsl2 = 0x0002;
constexpr std::array<std::pair<int, std::string_view>, 6> kVersions = {{
    {kSsl2, "SSLv2"},
    {0x0300, "SSLv3"},
    {0x0301, "TLSv1"},
    {0x0302, "TLSv1.1"},
    {0x0303, "TLSv1.2"},
    {0x0304, "TLSv1.3"},
}};
constexpr unsigned kAll = Protocols::kSsl3 | Protocols::kTls10 | Protocols::kTls11 |
                          Protocols::kTls12 | Protocols::kTls13;

unsigned bit(int version) {
    return version >= 0x0300 && version <= 0x0304 ? 1u << (version - 0x0300) : 0u;
}

std::vector<std::string_view> words(std::string_view text, std::string_view separators) {
    std::vector<std::string_view> result;
    for (;;) {
        text.remove_prefix(std::min(text.find_first_not_of(separators), text.size()));
        if (text.empty()) return result;
        const std::size_t end = std::min(text.find_first_of(separators), text.size());
        result.push_back(text.substr(0, end));
        text.remove_prefix(end);
    }
}

std::optional<int> version_named(std::string_view name) {
    for (const auto& [version, known] : kVersions) {
        if (equals_ignoring_case(name, known)) return version;
    }
    return std::nullopt;
}

// A bound may also be a number, as 0304 or 0x0304, of a version that we do not know yet.
std::optional<int> version_bound(std::string_view text) {
    if (auto named = version_named(text)) return named;
    if (starts_with_ignoring_case(text, "0x")) text.remove_prefix(2);
    int value = 0;
    const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), value, 16);
    if (failure != std::errc() || end != text.data() + text.size()) return std::nullopt;
    if (text.size() > 4 || value < 0x0300) return std::nullopt;
    return value;
}

std::string_view automatic_exclusion(Level level) {
    switch (level) {
        case Level::None:
        case Level::May:
            return "";
        case Level::Encrypt:
            return ":!eNULL";
        case Level::Fingerprint:
        case Level::Verify:
        case Level::Secure:
            return ":!aNULL";
    }
    return "";
}

}  // namespace

std::optional<Level> parse_level(std::string_view text) {
    for (const auto& [level, name] : kLevels) {
        if (equals_ignoring_case(text, name)) return level;
    }
    return std::nullopt;
}

std::string_view to_string(Level level) {
    for (const auto& [known, name] : kLevels) {
        if (known == level) return name;
    }
    return "";
}

Result<Protocols> parse_protocols(std::string_view text) {
    unsigned included = 0;
    unsigned excluded = 0;
    int floor = 0;
    int ceiling = 0xffff;
    bool valid = true;
    bool includes = false;
    for (std::string_view word : words(text, kSeparators)) {
        if (word.starts_with(">=") || word.starts_with("<=")) {
            const auto version = version_bound(word.substr(2));
            if (version) (word.front() == '>' ? floor : ceiling) = *version;
            valid = valid && version.has_value();
            continue;
        }
        const bool exclude = word.starts_with('!');
        const auto version = version_named(word.substr(exclude ? 1 : 0));
        valid = valid && version.has_value();
        if (!version) continue;
        (exclude ? excluded : included) |= bit(*version);
        includes = includes || !exclude;
    }
    if (!valid) {
        return Unexpected(ErrorCode::Invalid,
                          fmt::format("Invalid TLS protocol list \"{}\"", text));
    }
    Protocols protocols;
    protocols.allowed = (includes ? included : kAll) & ~excluded;
    for (const auto& [version, name] : kVersions) {
        if (version < floor || version > ceiling) protocols.allowed &= ~bit(version);
    }
    return protocols;
}

Result<std::string> cipher_list(const CipherGrades& grades, std::string_view grade, Level level,
                                std::string_view exclusions) {
    std::string list;
    if (equals_ignoring_case(grade, "high")) {
        list = grades.high;
    } else if (equals_ignoring_case(grade, "medium") || equals_ignoring_case(grade, "low") ||
               equals_ignoring_case(grade, "export")) {
        list = grades.medium;
    } else if (equals_ignoring_case(grade, "null")) {
        list = grades.null;
    } else {
        return Unexpected(ErrorCode::Invalid, fmt::format("invalid cipher grade: \"{}\"", grade));
    }
    for (std::string_view word : words(exclusions, kSeparators)) {
        if (word.find_first_of("!+-@") != std::string_view::npos) {
            return Unexpected(ErrorCode::Invalid,
                              fmt::format("invalid unary '!+-@' in cipher exclusion: {}", word));
        }
        list.append(":!").append(word);
    }
    return list.append(automatic_exclusion(level));
}

std::string canonical(const Policy& policy) {
    // Lengths in front keep different lists from giving one text.
    const auto list = [](const std::vector<std::string>& items) {
        std::string text = fmt::format("{}", items.size());
        for (const auto& item : items) text += fmt::format(" {}:{}", item.size(), item);
        return text;
    };
    return fmt::format(
        "level={};protocols={};ciphers={}:{};match={};fingerprints={};digest={};sni={}:{};"
        "anchors={}:{};depth={};curves={};lifetime={}",
        to_string(policy.level), policy.protocols.allowed, policy.ciphers.size(), policy.ciphers,
        list(policy.match), list(policy.fingerprints), policy.fingerprint_digest,
        policy.server_name.size(), policy.server_name, policy.trust_anchors.size(),
        policy.trust_anchors, policy.verify_depth, policy.curves, policy.session_lifetime.count());
}

}  // namespace postrider::tls
