// cidr: networks as keys.
#include <optional>

#include "core/ascii.h"
#include "table/network.h"
#include "table/table_types.h"

namespace postrider::table {
namespace {

struct Rule {
    enum class Kind { Match, If, EndIf };
    Kind kind = Kind::Match;
    int line = 0;
    Network network;
    bool positive = true;
    std::string value;
    std::optional<std::size_t> end;  ///< Of an If: its EndIf.

    /// Of addresses of its own family only: `!10.0.0.0/8` says nothing about IPv6.
    bool applies_to(const IpAddress& address) const {
        return address.size == network.address.size && network.contains(address) == positive;
    }
};

class CidrTable final : public Table {
public:
    CidrTable(const Opening& opening, std::vector<std::string> concerns, std::vector<Rule> rules)
        : Table(opening.specification(), std::move(concerns)), rules_(std::move(rules)) {}

    bool is_pattern() const override { return true; }

    Answer find(std::string_view key) const override {
        const auto address = IpAddress::parse(key);
        if (!address) return std::optional<std::string>();
        for (std::size_t i = 0; i < rules_.size(); ++i) {
            const Rule& rule = rules_[i];
            if (rule.kind == Rule::Kind::EndIf) continue;
            const bool applies = rule.applies_to(*address);
            if (rule.kind == Rule::Kind::Match && applies) return std::optional(rule.value);
            if (rule.kind == Rule::Kind::If && !applies) {
                if (!rule.end) break;
                i = *rule.end;
            }
        }
        return std::optional<std::string>();
    }

private:
    std::vector<Rule> rules_;
};

/// Takes `!`s and white space off the front; false when they turn the rule around.
bool take_negations(std::string_view& text) {
    bool positive = true;
    while (!text.empty() && (text.front() == '!' || is_ascii_space(text.front()))) {
        if (text.front() == '!') positive = !positive;
        text.remove_prefix(1);
    }
    return positive;
}

bool is_word(std::string_view text, std::string_view word) {
    return starts_with_ignoring_case(text, word) &&
           (text.size() == word.size() || !is_ascii_alnum(text[word.size()]));
}

Result<Rule> parse_if(std::string_view text) {
    Rule rule{Rule::Kind::If};
    rule.positive = take_negations(text);
    text = trimmed(text);
    if (text.empty()) return Unexpected(ErrorCode::Invalid, "no address pattern");
    const auto network = Network::parse(text);
    if (!network) return Unexpected(network.error());
    rule.network = *network;
    return rule;
}

Result<Rule> parse_endif(std::string_view text, bool inside_if) {
    if (!trimmed(text).empty()) return Unexpected(ErrorCode::Invalid, "garbage after ENDIF");
    if (!inside_if) return Unexpected(ErrorCode::Invalid, "ENDIF without IF");
    return Rule{Rule::Kind::EndIf};
}

Result<Rule> parse_match(std::string_view text) {
    Rule rule;
    rule.positive = take_negations(text);
    std::size_t length = 0;
    while (length < text.size() && !is_ascii_space(text[length])) ++length;
    if (length == 0) return Unexpected(ErrorCode::Invalid, "no address pattern");
    const auto network = Network::parse(text.substr(0, length));
    if (!network) return Unexpected(network.error());
    rule.network = *network;
    rule.value = trimmed(text.substr(length));
    if (rule.value.empty()) return Unexpected(ErrorCode::Invalid, "no lookup result");
    return rule;
}

Result<Rule> parse_rule(std::string_view text, bool inside_if) {
    if (is_word(text, "if")) return parse_if(text.substr(2));
    if (is_word(text, "endif")) return parse_endif(text.substr(5), inside_if);
    return parse_match(text);
}

}  // namespace

OpenedTable open_cidr(const Opening& opening) {
    const auto source = RuleSource::open(opening);
    if (!source) return Unexpected(source.error());
    LogicalLines lines = source->lines(opening.log);
    const std::string place = "cidr map " + opening.name;
    std::vector<Rule> rules;
    std::vector<std::size_t> open_ifs;
    for (;;) {
        const auto line = lines.next();
        if (!line) return Unexpected(line.error());
        if (!*line) break;
        auto rule = parse_rule((*line)->text, !open_ifs.empty());
        if (!rule) {
            const std::string text = rule.error().message + ": skipping this rule";
            opening.log.warning(at_line(place, (*line)->number, text));
            continue;
        }
        rule->line = (*line)->number;
        if (rule->kind == Rule::Kind::If) open_ifs.push_back(rules.size());
        if (rule->kind == Rule::Kind::EndIf) {
            rules[open_ifs.back()].end = rules.size();
            open_ifs.pop_back();
        }
        rules.push_back(std::move(*rule));
    }
    for (const std::size_t open : open_ifs)
        opening.log.warning(at_line(place, rules[open].line, "IF has no matching ENDIF"));
    return std::unique_ptr<Table>(
        std::make_unique<CidrTable>(opening, source->concerns(), std::move(rules)));
}

}  // namespace postrider::table
