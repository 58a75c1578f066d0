#include "delivery/known_answers.h"

#include <algorithm>
#include <array>
#include <optional>
#include <utility>

#include <fmt/format.h>

#include "core/ascii.h"
#include "core/log.h"
#include "delivery/stage_words.h"
#include "mail/disposition.h"

namespace postrider::delivery {

namespace {

using Meaning = KnownAnswer::Meaning;

constexpr std::size_t kRowsMax = 10000;
constexpr char kBuiltIn[] =
#include "known_answers_text.inc"
    ;

constexpr std::string_view kStages[] = {"any", "connect", "auth", "mail", "rcpt", "data", "end"};
constexpr std::pair<std::string_view, Meaning> kMeanings[] = {
    {"login", Meaning::Login},
    {"quota", Meaning::Quota},
    {"destination", Meaning::Destination},
    {"defer", Meaning::Defer},
    {"as-it-says", Meaning::AsItSays},
};

bool is_white(char c) {
    return c == ' ' || c == '\t' || c == '\r';
}

std::string_view next_word(std::string_view& line) {
    while (!line.empty() && is_white(line.front())) line.remove_prefix(1);
    std::size_t end = 0;
    while (end < line.size() && !is_white(line[end])) ++end;
    const std::string_view word = line.substr(0, end);
    line.remove_prefix(end);
    return word;
}

bool is_code(std::string_view word) {
    return word.size() == 3 && std::all_of(word.begin(), word.end(), [](char c) {
               return c == 'x' || (c >= '0' && c <= '9');
           });
}

// Nothing if the row is right.
std::string parse_row(std::string_view line, KnownAnswer& row) {
    row.stage = next_word(line);
    if (std::find(std::begin(kStages), std::end(kStages), row.stage) == std::end(kStages)) {
        return fmt::format("\"{}\" is no stage: any, connect, auth, mail, rcpt, data or end",
                           printable(row.stage));
    }
    row.code = next_word(line);
    if (!is_code(row.code)) {
        return fmt::format("\"{}\" is no reply code, such as 550 or 5xx", printable(row.code));
    }
    row.status = next_word(line);
    if (row.status != "*" && !mail::parse_status(row.status)) {
        return fmt::format("\"{}\" is no enhanced status, such as 5.4.5 or *",
                           printable(row.status));
    }
    const std::string_view word = next_word(line);
    const auto meaning = std::find_if(std::begin(kMeanings), std::end(kMeanings),
                                      [&](const auto& known) { return known.first == word; });
    if (meaning == std::end(kMeanings)) {
        return fmt::format("\"{}\" is no meaning: login, quota, destination, defer or as-it-says",
                           printable(word));
    }
    row.meaning = meaning->second;
    while (!line.empty() && is_white(line.front())) line.remove_prefix(1);
    const std::size_t end = line.empty() ? std::string_view::npos : line.find('/', 1);
    if (line.empty() || line.front() != '/' || end == std::string_view::npos) {
        return "expected /words/ behind the meaning; // fits every text";
    }
    row.words = line.substr(1, end - 1);
    line.remove_prefix(end + 1);
    while (!line.empty() && is_white(line.front())) line.remove_prefix(1);
    while (!line.empty() && is_white(line.back())) line.remove_suffix(1);
    row.advice = printable(line);
    return "";
}

bool contains_ignoring_case(std::string_view text, std::string_view words) {
    for (std::size_t at = 0; at + words.size() <= text.size(); ++at) {
        if (equals_ignoring_case(text.substr(at, words.size()), words)) return true;
    }
    return false;
}

// The words behind the status codes, over all lines: a phrase may be broken over two of them.
std::string text_of(const smtp::Reply& reply) {
    std::string text;
    for (const std::string& line : reply.lines) {
        if (!text.empty()) text += ' ';
        text += mail::parse_status(line) ? mail::after_status(line) : std::string_view(line);
    }
    return text;
}

bool fits_code(std::string_view pattern, int code) {
    const std::array<char, 3> digits{static_cast<char>('0' + code / 100 % 10),
                                     static_cast<char>('0' + code / 10 % 10),
                                     static_cast<char>('0' + code % 10)};
    for (std::size_t i = 0; i < digits.size(); ++i) {
        if (pattern[i] != 'x' && pattern[i] != digits[i]) return false;
    }
    return true;
}

}  // namespace

std::string_view KnownAnswers::built_in() {
    return std::string_view(kBuiltIn, sizeof kBuiltIn - 1);
}

KnownAnswers::KnownAnswers() {
    const auto read = append("etc/known_answers", built_in());
    POSTRIDER_CHECK(read.has_value());
}

Result<KnownAnswers> KnownAnswers::parse(std::string_view name, std::string_view text) {
    KnownAnswers all;
    std::vector<KnownAnswer> own = std::exchange(all.rows_, {});
    if (auto read = all.append(name, text); !read) return Unexpected(std::move(read).error());
    for (KnownAnswer& row : own) all.rows_.push_back(std::move(row));
    return all;
}

Result<void> KnownAnswers::append(std::string_view name, std::string_view text) {
    int number = 0;
    while (!text.empty()) {
        ++number;
        const std::size_t end = text.find('\n');
        std::string_view line = text.substr(0, end);
        text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
        std::string_view rest = line;
        const std::string_view first = next_word(rest);
        if (first.empty() || first.front() == '#') continue;
        KnownAnswer row;
        std::string wrong = parse_row(line, row);
        if (wrong.empty() && rows_.size() >= kRowsMax) {
            wrong = fmt::format("more than {} rows", kRowsMax);
        }
        if (!wrong.empty()) {
            return Unexpected(ErrorCode::Invalid,
                              fmt::format("{}, line {}: {}", name, number, wrong));
        }
        rows_.push_back(std::move(row));
    }
    return {};
}

const KnownAnswer* KnownAnswers::find(Stage stage, const smtp::Reply& reply) const {
    const auto status = reply.status();
    const std::string status_text = status ? mail::to_string(*status) : std::string{};
    const std::string text = text_of(reply);
    for (const KnownAnswer& row : rows_) {
        if (row.stage != "any" && row.stage != words_of(stage).row) continue;
        if (!fits_code(row.code, reply.code)) continue;
        if (row.status != "*" && row.status != status_text) continue;
        if (!row.words.empty() && !contains_ignoring_case(text, row.words)) continue;
        return &row;
    }
    return nullptr;
}

}  // namespace postrider::delivery
