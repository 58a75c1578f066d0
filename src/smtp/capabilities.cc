#include "smtp/capabilities.h"

#include <algorithm>
#include <array>
#include <charconv>

#include "core/ascii.h"

namespace postrider::smtp {

namespace {

constexpr std::size_t kMechanismsMax = 64;

// The names that smtp_discard_ehlo_keywords may list, in the order in which they are logged.
constexpr std::array<std::string_view, 15> kKnownKeywords = {
    "8BITMIME",  "AUTH",     "ETRN",     "PIPELINING",          "SIZE", "VERP",     "VRFY",
    "XCLIENT",   "XFORWARD", "STARTTLS", "ENHANCEDSTATUSCODES", "DSN",  "SMTPUTF8", "CHUNKING",
    "REQUIRETLS"};

/// Cuts the next word off the front of `text`; empty at the end.
std::string_view next_word(std::string_view& text, std::string_view separators) {
    text.remove_prefix(std::min(text.find_first_not_of(separators), text.size()));
    const auto word = text.substr(0, text.find_first_of(separators));
    text.remove_prefix(word.size());
    return word;
}

void add_mechanisms(Capabilities& capabilities, std::string_view names) {
    auto& known = capabilities.auth_mechanisms;
    for (auto name = next_word(names, " \t"); !name.empty(); name = next_word(names, " \t")) {
        auto upper = ascii_uppercase(name);
        if (known.size() < kMechanismsMax &&
            std::find(known.begin(), known.end(), upper) == known.end())
            known.push_back(std::move(upper));
    }
}

std::optional<std::uint64_t> announced_size(std::string_view argument) {
    std::uint64_t size = 0;
    const auto* end = argument.data() + argument.size();
    const auto [stop, error] = std::from_chars(argument.data(), end, size);
    // RFC 1870 4: zero means that there is no fixed limit. What is no number says nothing.
    if (error != std::errc() || stop != end || size == 0) return std::nullopt;
    return size;
}

void add_keyword(Capabilities& capabilities, const std::string& keyword, std::string_view rest) {
    struct Flag {
        std::string_view keyword;
        bool Capabilities::*flag;
    };
    static constexpr std::array<Flag, 9> kFlags = {{
        {"8BITMIME", &Capabilities::eight_bit_mime},
        {"PIPELINING", &Capabilities::pipelining},
        {"STARTTLS", &Capabilities::starttls},
        {"DSN", &Capabilities::dsn},
        {"SMTPUTF8", &Capabilities::smtputf8},
        {"CHUNKING", &Capabilities::chunking},
        {"BINARYMIME", &Capabilities::binary_mime},
        {"ENHANCEDSTATUSCODES", &Capabilities::enhanced_status_codes},
        {"REQUIRETLS", &Capabilities::require_tls},
    }};
    for (const Flag& flag : kFlags)
        if (keyword == flag.keyword) capabilities.*flag.flag = true;
    if (keyword == "SIZE") {
        capabilities.size = true;
        capabilities.size_max = announced_size(trimmed(rest));
    }
    if (keyword == "AUTH") {
        capabilities.auth = true;
        add_mechanisms(capabilities, rest);
    }
}

}  // namespace

bool DiscardedKeywords::contains(std::string_view keyword) const {
    return std::find(keywords.begin(), keywords.end(), keyword) != keywords.end();
}

std::string DiscardedKeywords::log_text() const {
    std::string text;
    if (silent || keywords.empty()) return text;
    text = "discarding EHLO keywords:";
    for (const auto known : kKnownKeywords)
        if (contains(known)) text += " " + std::string(known);
    return text;
}

Result<DiscardedKeywords> parse_discarded_keywords(std::string_view list) {
    static constexpr std::string_view kSeparators = ", \t\r\n";
    DiscardedKeywords discarded;
    for (auto word = next_word(list, kSeparators); !word.empty();
         word = next_word(list, kSeparators)) {
        auto keyword = ascii_uppercase(word);
        if (keyword == "SILENT-DISCARD") {
            discarded.silent = true;
        } else if (std::find(kKnownKeywords.begin(), kKnownKeywords.end(), keyword) ==
                   kKnownKeywords.end()) {
            return Unexpected(ErrorCode::Invalid,
                              "unknown EHLO keyword \"" + std::string(word) + "\"");
        } else if (!discarded.contains(keyword)) {
            discarded.keywords.push_back(std::move(keyword));
        }
    }
    return discarded;
}

Capabilities parse_capabilities(const Reply& ehlo, const DiscardedKeywords& discarded) {
    Capabilities capabilities = plain_capabilities(ehlo);
    capabilities.esmtp = true;
    for (std::size_t i = 1; i < ehlo.lines.size(); ++i) {
        std::string_view rest = ehlo.lines[i];
        auto keyword = ascii_uppercase(next_word(rest, " \t"));
        // `AUTH=LOGIN PLAIN` is how servers from before RFC 2554 said it, and some still do.
        if (keyword.starts_with("AUTH=")) {
            rest = std::string_view(ehlo.lines[i]);
            rest.remove_prefix(rest.find('=') + 1);
            keyword = "AUTH";
        }
        if (!discarded.contains(keyword)) add_keyword(capabilities, keyword, rest);
    }
    return capabilities;
}

Capabilities plain_capabilities(const Reply& helo) {
    Capabilities capabilities;
    std::string_view first = helo.lines.empty() ? std::string_view() : helo.lines.front();
    capabilities.host = next_word(first, " \t");
    return capabilities;
}

}  // namespace postrider::smtp
