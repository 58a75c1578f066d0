#include "config/expand.h"

#include <algorithm>
#include <charconv>

#include "core/ascii.h"

namespace postrider::config {
namespace {

constexpr std::string_view kOperatorCharacters = "<>!=?+-*/~&|%";

bool is_name_character(char c) {
    return is_ascii_alnum(c) || c == '_';
}

bool is_all_digits(std::string_view text) {
    return !text.empty() && std::all_of(text.begin(), text.end(), is_ascii_digit);
}

void skip_space(std::string_view& text) {
    while (!text.empty() && is_ascii_space(text.front())) text.remove_prefix(1);
}

/// As strings, or as numbers where both are all digits: less than, equal to or greater than 0.
int compare_operands(std::string_view left, std::string_view right) {
    if (is_all_digits(left) && is_all_digits(right)) {
        left.remove_prefix(std::min(left.find_first_not_of('0'), left.size()));
        right.remove_prefix(std::min(right.find_first_not_of('0'), right.size()));
        if (left.size() != right.size()) return left.size() < right.size() ? -1 : 1;
    }
    return left.compare(right);
}

std::optional<bool> holds(std::string_view relation, long difference) {
    if (relation == "==") return difference == 0;
    if (relation == "!=") return difference != 0;
    if (relation == "<") return difference < 0;
    if (relation == "<=") return difference <= 0;
    if (relation == ">=") return difference >= 0;
    if (relation == ">") return difference > 0;
    return std::nullopt;
}

/// One expansion, or one search for names: that one visits every branch and follows none.
class Expansion {
public:
    explicit Expansion(const Lookup& lookup) : lookup_(&lookup) {}
    explicit Expansion(std::vector<std::string>& names) : names_(&names) {}

    /// False after fail(); `result` then has no meaning.
    bool run(std::string_view text, std::string& result);
    Error error() && { return {code_, std::move(problem_)}; }

private:
    bool fail(std::string problem, ErrorCode code = ErrorCode::Invalid) {
        code_ = code;
        problem_ = std::move(problem);
        return false;
    }
    bool append(std::string_view text, std::string& result);
    bool reference(std::string_view inside, std::string& result);
    bool relation(std::string_view& inside, bool& truth);
    bool function(std::string_view name, std::string_view inside, std::string& result);
    bool branches(std::string_view rest, bool truth, std::string& result);
    bool value_of(std::string_view name, std::string& result);
    bool braced(std::string_view& text, std::string_view& inside);
    bool branch(std::string_view& rest, std::string_view& text);

    bool is_search() const { return names_ != nullptr; }
    std::optional<std::string_view> look_up(std::string_view name) {
        if (!is_search()) return (*lookup_)(name);
        names_->emplace_back(name);
        return std::nullopt;
    }

    const Lookup* lookup_ = nullptr;
    std::vector<std::string>* names_ = nullptr;
    int level_ = 0;
    int steps_ = 0;
    ErrorCode code_ = ErrorCode::Invalid;
    std::string problem_;
};

bool Expansion::append(std::string_view text, std::string& result) {
    if (result.size() + text.size() > kExpansionSizeMax)
        return fail("value is longer than 1048576 bytes when expanded", ErrorCode::Limit);
    result += text;
    return true;
}

bool Expansion::run(std::string_view text, std::string& result) {
    if (++steps_ > kExpansionStepsMax)
        return fail("too many references in one value", ErrorCode::Limit);
    if (level_ > kExpansionLevelsMax)
        return fail("unreasonable macro call nesting: \"" + std::string(text.substr(0, 100)) +
                    "\"");
    const std::string_view whole = text;
    while (!text.empty()) {
        const auto literal = text.substr(0, text.find('$'));
        if (!append(literal, result)) return false;
        text.remove_prefix(literal.size());
        if (text.empty()) return true;
        text.remove_prefix(1);
        if (text.starts_with('$')) {
            if (!append("$", result)) return false;
            text.remove_prefix(1);
            continue;
        }

        std::size_t length = 0;
        std::size_t skip = 0;
        if (text.starts_with('{') || text.starts_with('(')) {
            const char open = text.front();
            const char close = open == '{' ? '}' : ')';
            int depth = 1;
            for (length = 1; length < text.size() && depth > 0; ++length) {
                if (text[length] == open) ++depth;
                if (text[length] == close) --depth;
            }
            if (depth > 0) return fail("truncated macro reference: \"" + std::string(whole) + "\"");
            skip = 1;
        } else {
            while (length < text.size() && is_name_character(text[length])) ++length;
        }
        const auto inside = text.substr(skip, length - 2 * skip);
        if (inside.empty()) return fail("empty macro name: \"" + std::string(whole) + "\"");
        ++level_;
        if (!reference(inside, result)) return false;
        --level_;
        text.remove_prefix(length);
    }
    return true;
}

bool Expansion::reference(std::string_view inside, std::string& result) {
    auto rest = inside;
    skip_space(rest);
    if (rest.starts_with('{')) {
        bool truth = false;
        if (!relation(rest, truth)) return false;
        if (rest.empty()) return !truth || append("true", result);
        if (!rest.starts_with('?') && !rest.starts_with(':'))
            return fail("\"?\" or \":\" expected at: \"...}>>>" + std::string(rest.substr(0, 20)) +
                        "\"");
        return branches(rest, truth, result);
    }

    std::size_t length = 0;
    while (length < rest.size() && is_name_character(rest[length])) ++length;
    const auto name = rest.substr(0, length);
    rest.remove_prefix(length);
    auto after = rest;
    skip_space(after);
    if (after.empty()) return value_of(name, result);
    if (after.starts_with('{')) return function(name, after, result);
    if (after.starts_with('?') || after.starts_with(':')) {
        const auto value = look_up(name);
        return branches(after, value && !value->empty(), result);
    }
    return fail("attribute name syntax error at: \"..." + std::string(name) + ">>>" +
                std::string(rest.substr(0, 20)) + "\"");
}

/// Takes `{left} op {right}` off the front of `inside`.
bool Expansion::relation(std::string_view& inside, bool& truth) {
    std::string_view left_text;
    if (!braced(inside, left_text)) return false;
    const auto operator_text = inside.substr(0, inside.find_first_not_of(kOperatorCharacters));
    if (!holds(operator_text, 0))
        return fail("\"==\" or \"!=\" or \"<\" or \"<=\" or \">=\" or \">\" expected at: \"...{" +
                    std::string(left_text) + "}>>>" + std::string(inside.substr(0, 20)) + "\"");
    inside.remove_prefix(operator_text.size());
    std::size_t suffix_length = 0;
    while (suffix_length < inside.size() && is_ascii_alnum(inside[suffix_length])) ++suffix_length;
    const auto suffix = inside.substr(0, suffix_length);
    if (!suffix.empty() && suffix != "level")
        return fail("bad operator suffix at: \"..." + std::string(operator_text) + ">>>" +
                    std::string(suffix) + "\"");
    inside.remove_prefix(suffix_length);
    skip_space(inside);
    if (!inside.starts_with('{'))
        return fail("\"{expression}\" expected at: \"...{" + std::string(left_text) + "} " +
                    std::string(operator_text) + ">>>" + std::string(inside.substr(0, 20)) + "\"");
    std::string_view right_text;
    if (!braced(inside, right_text)) return false;

    std::string left;
    std::string right;
    if (!run(left_text, left) || !run(right_text, right)) return false;
    if (is_search()) return true;
    if (suffix.empty()) {
        truth = *holds(operator_text, compare_operands(left, right));
        return true;
    }
    const auto left_level = parse_level(left);
    const auto right_level = parse_level(right);
    if (!left_level || !right_level)
        return fail("bad compatibility level: \"" + (left_level ? right : left) + "\"");
    truth = *holds(operator_text, *left_level - *right_level);
    return true;
}

bool Expansion::function(std::string_view name, std::string_view inside, std::string& result) {
    std::string_view argument;
    if (!braced(inside, argument)) return false;
    if (!inside.empty())
        return fail("unexpected input at: \"..." + std::string(argument) + "}>>>" +
                    std::string(inside.substr(0, 20)) + "\"");
    if (name != "domain_to_ascii" && name != "domain_to_utf8")
        return fail("unknown function \"" + std::string(name) + "\" at\"...>>>" +
                    std::string(name) + "{" + std::string(argument) + "}\"");
    std::string value;
    if (!run(trimmed(argument), value)) return false;
    // Only names that read the same in both forms: this is no place for an IDNA library.
    if (!is_ascii(value) || ascii_lowercase(value).find("xn--") != value.npos)
        return fail(std::string(name) + " takes ASCII names only: \"" + value + "\"");
    return append(value, result);
}

/// `?text`, `:text`, `?{text}:{text}` and their mixtures.
bool Expansion::branches(std::string_view rest, bool truth, std::string& result) {
    std::string_view text;
    if (rest.starts_with('?')) {
        rest.remove_prefix(1);
        if (!branch(rest, text)) return false;
        if ((truth || is_search()) && !run(text, result)) return false;
        if (rest.empty()) return true;
        if (!rest.starts_with(':'))
            return fail("\":\" expected at: \"..." + std::string(text) + "}>>>" +
                        std::string(rest.substr(0, 20)) + "\"");
    }
    rest.remove_prefix(1);
    if (!branch(rest, text)) return false;
    if ((!truth || is_search()) && !run(text, result)) return false;
    if (rest.empty()) return true;
    return fail("unexpected input at: \"..." + std::string(text) + "}>>>" +
                std::string(rest.substr(0, 20)) + "\"");
}

/// Without braces, everything to the end is the branch, whatever it holds.
bool Expansion::branch(std::string_view& rest, std::string_view& text) {
    auto after_space = rest;
    skip_space(after_space);
    if (!after_space.starts_with('{')) {
        text = rest;
        rest = {};
        return true;
    }
    rest = after_space;
    return braced(rest, text);
}

/// Takes `{inside}` and the white space after it off the front of `text`.
bool Expansion::braced(std::string_view& text, std::string_view& inside) {
    int depth = 0;
    for (std::size_t at = 0; at < text.size(); ++at) {
        if (text[at] == '{') ++depth;
        if (text[at] == '}' && --depth == 0) {
            inside = text.substr(1, at - 1);
            text.remove_prefix(at + 1);
            skip_space(text);
            return true;
        }
    }
    return fail("unbalanced {} in attribute expression: \"" + std::string(text) + "\"");
}

bool Expansion::value_of(std::string_view name, std::string& result) {
    const auto value = look_up(name);
    if (!value) return true;
    if (value->find('$') == value->npos) return append(*value, result);
    return run(*value, result);
}

}  // namespace

Result<std::string> expand(std::string_view text, const Lookup& lookup) {
    Expansion expansion(lookup);
    std::string result;
    if (!expansion.run(text, result)) return Unexpected(std::move(expansion).error());
    return result;
}

std::vector<std::string> referenced_names(std::string_view text) {
    std::vector<std::string> names;
    Expansion search(names);
    std::string ignored;
    (void)search.run(text, ignored);
    return names;
}

std::optional<long> parse_level(std::string_view text) {
    constexpr long kPartMax = 999;
    long level = 0;
    int parts = 0;
    const auto* at = text.data();
    const auto* const end = at + text.size();
    while (parts < 3) {
        long part = 0;
        const auto [rest, problem] = std::from_chars(at, end, part);
        // The first part may be larger: 9999 is a way to say "the newest".
        if (problem != std::errc() || part < 0 || part > (parts == 0 ? 1'000'000 : kPartMax))
            return std::nullopt;
        level = level * (kPartMax + 1) + part;
        ++parts;
        at = rest;
        if (at == end) break;
        if (*at != '.') return std::nullopt;
        ++at;
        if (parts == 3) return std::nullopt;
    }
    for (; parts < 3; ++parts) level *= kPartMax + 1;
    return level;
}

}  // namespace postrider::config
