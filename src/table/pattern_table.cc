#include "table/pattern_table.h"

#include <charconv>
#include <utility>

#include "core/ascii.h"

namespace postrider::table {
namespace {

/// As header_size_limit: what a rule may look at, so that one key cannot cost minutes.
constexpr std::size_t kSubjectSizeMax = 102400;
/// No pattern has more groups than this; larger numbers in a result are a mistake.
constexpr std::size_t kGroupMax = 9999;

struct Rule {
    enum class Kind { Match, If, EndIf };
    Kind kind = Kind::Match;
    int line = 0;
    std::unique_ptr<Pattern> pattern;
    bool positive = true;
    std::unique_ptr<Pattern> second;
    bool second_positive = true;
    ResultTemplate result;
    std::optional<std::size_t> end;  ///< Of an If: its EndIf.
};

class PatternTable final : public Table {
public:
    PatternTable(const Opening& opening, std::vector<std::string> concerns, std::vector<Rule> rules)
        : Table(opening.specification(), std::move(concerns)),
          place_(opening.type + " map " + opening.name),
          rules_(std::move(rules)) {}

    bool is_pattern() const override { return true; }

    Answer find(std::string_view key) const override {
        const std::string_view subject = key.substr(0, kSubjectSizeMax);
        for (std::size_t i = 0; i < rules_.size(); ++i) {
            const Rule& rule = rules_[i];
            if (rule.kind == Rule::Kind::EndIf) continue;
            Captures captures;
            const auto applies = matches(rule, subject, captures);
            if (!applies) return Unexpected(applies.error());
            if (rule.kind == Rule::Kind::Match && *applies)
                return std::optional(rule.result.expand(captures));
            if (rule.kind == Rule::Kind::If && !*applies) {
                if (!rule.end) break;
                i = *rule.end;
            }
        }
        return std::optional<std::string>();
    }

private:
    Result<bool> matches(const Rule& rule, std::string_view subject, Captures& captures) const {
        const bool capturing = rule.result.group_max() > 0;
        auto first = rule.pattern->match(subject, capturing ? &captures : nullptr);
        if (!first) return at(rule, first.error());
        if (*first != rule.positive) return false;
        if (!rule.second) return true;
        auto second = rule.second->match(subject, nullptr);
        if (!second) return at(rule, second.error());
        return *second == rule.second_positive;
    }

    Unexpected at(const Rule& rule, const Error& error) const {
        return Unexpected(error.code, at_line(place_, rule.line, error.message));
    }

    std::string place_;
    std::vector<Rule> rules_;
};

/// Reads the rules of one source, line by line.
class RuleReader {
public:
    RuleReader(const Opening& opening, const PatternLanguage& language)
        : opening_(opening), language_(language), place_(opening.type + " map " + opening.name) {}

    Result<std::vector<Rule>> read(LogicalLines lines) {
        for (;;) {
            auto line = lines.next();
            if (!line) return Unexpected(line.error());
            if (!*line) break;
            line_ = (*line)->number;
            rest_ = trimmed((*line)->text);
            if (auto rule = read_rule()) add(std::move(*rule));
        }
        for (const std::size_t open : open_) {
            line_ = rules_[open].line;
            warn("IF has no matching ENDIF");
        }
        return std::move(rules_);
    }

private:
    void add(Rule rule) {
        if (rule.kind == Rule::Kind::If) open_.push_back(rules_.size());
        if (rule.kind == Rule::Kind::EndIf) {
            rules_[open_.back()].end = rules_.size();
            open_.pop_back();
        }
        rules_.push_back(std::move(rule));
    }

    std::optional<Rule> read_rule() {
        if (!is_ascii_alnum(rest_.front())) return read_match();
        if (takes_word("if")) return read_if();
        if (takes_word("endif")) return read_endif();
        warn("ignoring unrecognized request");
        return std::nullopt;
    }

    std::optional<Rule> read_match() {
        Rule rule{Rule::Kind::Match, line_};
        const auto first = read_pattern();
        if (!first) return std::nullopt;
        std::optional<PatternText> second;
        if (language_.has_second_pattern() && !rest_.empty() && rest_.front() == '!') {
            second = read_pattern();
            if (!second) return std::nullopt;
        }
        rest_ = trimmed(rest_);
        if (rest_.empty()) warn("no replacement text: using empty string");
        if (!read_result(*first, rule) || !compile(*first, rule) || !has_groups(rule))
            return std::nullopt;
        if (second) {
            auto compiled = language_.compile(*second, false);
            if (!compiled) return skip(compiled.error().message);
            rule.second = std::move(*compiled);
            rule.second_positive = second->positive;
        }
        return rule;
    }

    bool read_result(const PatternText& pattern, Rule& rule) {
        auto result = ResultTemplate::parse(rest_);
        if (!result) {
            warn(result.error().message);
            warn("bad replacement syntax: skipping this rule");
            return false;
        }
        if (result->group_max() > 0 && !pattern.positive) {
            warn("$number found in negative match replacement text: skipping this rule");
            return false;
        }
        if (result->group_max() > 0 && opening_.options.substitution == Substitution::Forbidden) {
            warn("regular expression substitution is not allowed: skipping this rule");
            return false;
        }
        rule.result = std::move(*result);
        return true;
    }

    bool compile(const PatternText& text, Rule& rule) {
        auto compiled = language_.compile(text, rule.result.group_max() > 0);
        if (!compiled) {
            warn(compiled.error().message);
            return false;
        }
        rule.pattern = std::move(*compiled);
        rule.positive = text.positive;
        return true;
    }

    bool has_groups(const Rule& rule) {
        if (rule.result.group_max() <= rule.pattern->group_count()) return true;
        warn("out of range replacement index \"" + std::to_string(rule.result.group_max()) +
             "\": skipping this rule");
        return false;
    }

    std::optional<Rule> read_if() {
        Rule rule{Rule::Kind::If, line_};
        rest_ = trimmed(rest_);
        const auto pattern = read_pattern();
        if (!pattern) return std::nullopt;
        rest_ = trimmed(rest_);
        if (!rest_.empty()) {
            warn("ignoring extra text after IF statement: \"" + std::string(rest_) + "\"");
            warn("do not prepend whitespace to statements between IF and ENDIF");
        }
        if (!compile(*pattern, rule)) return std::nullopt;
        return rule;
    }

    std::optional<Rule> read_endif() {
        if (open_.empty()) return skip("ignoring ENDIF without matching IF");
        if (!trimmed(rest_).empty()) warn("ignoring extra text after ENDIF");
        return Rule{Rule::Kind::EndIf, line_};
    }

    /// Takes `!`s, the delimiter, the pattern, the delimiter and the flags off the rest.
    std::optional<PatternText> read_pattern() {
        PatternText pattern;
        while (!rest_.empty() && (rest_.front() == '!' || is_ascii_space(rest_.front()))) {
            if (rest_.front() == '!') pattern.positive = !pattern.positive;
            rest_.remove_prefix(1);
        }
        if (rest_.empty()) {
            warn("no regexp: skipping this rule");
            return std::nullopt;
        }
        const char delimiter = rest_.front();
        rest_.remove_prefix(1);
        std::size_t end = 0;
        while (end < rest_.size() && rest_[end] != delimiter) end += rest_[end] == '\\' ? 2 : 1;
        if (end >= rest_.size()) {
            warn("no closing regexp delimiter \"" + std::string(1, delimiter) +
                 "\": skipping this rule");
            return std::nullopt;
        }
        pattern.regexp = rest_.substr(0, end);
        rest_.remove_prefix(end + 1);
        if (!read_flags(pattern)) return std::nullopt;
        return pattern;
    }

    bool read_flags(PatternText& pattern) {
        while (!rest_.empty() && !is_ascii_space(rest_.front())) {
            const char flag = rest_.front();
            if (flag == '!' && language_.has_second_pattern()) break;
            if (language_.flags().find(flag) == std::string_view::npos) {
                warn("unknown regexp option \"" + std::string(1, flag) + "\": skipping this rule");
                return false;
            }
            pattern.flags.push_back(flag);
            rest_.remove_prefix(1);
        }
        return true;
    }

    /// Takes `word` off the rest if it is a whole word there.
    bool takes_word(std::string_view word) {
        if (!starts_with_ignoring_case(rest_, word)) return false;
        if (rest_.size() > word.size() && is_ascii_alnum(rest_[word.size()])) return false;
        rest_.remove_prefix(word.size());
        return true;
    }

    std::nullopt_t skip(std::string_view text) {
        warn(text);
        return std::nullopt;
    }
    void warn(std::string_view text) { opening_.log.warning(at_line(place_, line_, text)); }

    const Opening& opening_;
    const PatternLanguage& language_;
    std::string place_;
    std::vector<Rule> rules_;
    std::vector<std::size_t> open_;  ///< Ifs that wait for their EndIf.
    int line_ = 0;
    std::string_view rest_;
};

/// Of a reference at the start of `text`, behind its dollar sign: the name, and its length with
/// parentheses.
Result<std::pair<std::string_view, std::size_t>> read_reference(std::string_view text) {
    if (!text.empty() && (text.front() == '{' || text.front() == '(')) {
        const char open = text.front();
        const char close = open == '{' ? '}' : ')';
        std::size_t depth = 0;
        for (std::size_t i = 0; i < text.size(); ++i) {
            if (text[i] == open) ++depth;
            if (text[i] == close && --depth == 0) return std::pair(text.substr(1, i - 1), i + 1);
        }
        return Unexpected(ErrorCode::Invalid, "truncated macro reference: ");
    }
    std::size_t length = 0;
    while (length < text.size() && (is_ascii_alnum(text[length]) || text[length] == '_')) ++length;
    return std::pair(text.substr(0, length), length);
}

Result<std::size_t> parse_group(std::string_view name) {
    const std::string quoted = "\"" + std::string(name) + "\"";
    for (const char c : name) {
        if (!is_ascii_digit(c))
            return Unexpected(ErrorCode::Invalid, "non-numeric replacement index " + quoted);
    }
    std::size_t number = 0;
    const auto [end, failure] = std::from_chars(name.data(), name.data() + name.size(), number);
    if (failure != std::errc() || number < 1 || number > kGroupMax)
        return Unexpected(ErrorCode::Invalid, "out of range replacement index " + quoted);
    return number;
}

}  // namespace

Result<ResultTemplate> ResultTemplate::parse(std::string_view text) {
    ResultTemplate result;
    std::string literal;
    for (std::size_t i = 0; i < text.size();) {
        if (text[i] != '$') {
            literal.push_back(text[i++]);
            continue;
        }
        if (text.substr(i, 2) == "$$") {
            literal.push_back('$');
            i += 2;
            continue;
        }
        const auto reference = read_reference(text.substr(i + 1));
        const std::string quoted = "\"" + std::string(text) + "\"";
        if (!reference) return Unexpected(ErrorCode::Invalid, reference.error().message + quoted);
        if (reference->first.empty())
            return Unexpected(ErrorCode::Invalid, "empty macro name: " + quoted);
        const auto group = parse_group(reference->first);
        if (!group) return Unexpected(group.error());
        if (!literal.empty()) result.pieces_.push_back({std::exchange(literal, {}), 0});
        result.pieces_.push_back({"", *group});
        result.group_max_ = std::max(result.group_max_, *group);
        i += 1 + reference->second;
    }
    if (!literal.empty()) result.pieces_.push_back({std::move(literal), 0});
    return result;
}

std::string ResultTemplate::expand(const Captures& captures) const {
    std::string result;
    for (const Piece& piece : pieces_) {
        if (piece.group == 0) result += piece.text;
        if (piece.group > 0 && piece.group < captures.size()) result += captures[piece.group];
    }
    return result;
}

OpenedTable open_pattern_table(const Opening& opening, const PatternLanguage& language) {
    const auto source = RuleSource::open(opening);
    if (!source) return Unexpected(source.error());
    auto rules = RuleReader(opening, language).read(source->lines(opening.log));
    if (!rules) return Unexpected(rules.error());
    return std::unique_ptr<Table>(
        std::make_unique<PatternTable>(opening, source->concerns(), std::move(*rules)));
}

}  // namespace postrider::table
