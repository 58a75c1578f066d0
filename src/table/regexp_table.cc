// regexp: POSIX regular expressions, as the C library reads them.
#include <regex.h>

#include "table/pattern_table.h"
#include "table/posix_matcher.h"

namespace postrider::table {
namespace {

class PosixPattern final : public Pattern {
public:
    explicit PosixPattern(PosixProgram program) : matcher_(std::move(program)) {}

    std::size_t group_count() const override { return matcher_.group_count(); }
    Result<bool> match(std::string_view subject, Captures* captures) const override {
        return matcher_.match(subject, captures);
    }

private:
    PosixMatcher matcher_;
};

/// What the C library says against a pattern.
Result<void> check(const std::string& pattern, int options) {
    regex_t compiled;
    const int outcome = ::regcomp(&compiled, pattern.c_str(), options);
    if (outcome == 0) {
        ::regfree(&compiled);
        return {};
    }
    char text[256];
    ::regerror(outcome, &compiled, text, sizeof text);
    return Unexpected(ErrorCode::Invalid, text);
}

/// The C library says which patterns are well formed. It does not match them: its time is the
/// square of a header's length for patterns as common as `(.*)a(.*)b`, its memory grows with what
/// it has seen, and with some patterns it never ends.
class PosixLanguage final : public PatternLanguage {
public:
    std::string_view type() const override { return "regexp"; }
    std::string_view flags() const override { return "imx"; }
    bool has_second_pattern() const override { return true; }

    Result<std::unique_ptr<Pattern>> compile(const PatternText& text, bool) const override {
        PosixFlags flags;
        for (const char flag : text.flags) {
            if (flag == 'i') flags.ignore_case = !flags.ignore_case;
            if (flag == 'm') flags.by_lines = !flags.by_lines;
            if (flag == 'x') flags.extended = !flags.extended;
        }
        const int options = REG_NOSUB | (flags.extended ? REG_EXTENDED : 0) |
                            (flags.ignore_case ? REG_ICASE : 0) |
                            (flags.by_lines ? REG_NEWLINE : 0);
        if (auto checked = check(text.regexp, options); !checked) {
            return Unexpected(std::move(checked).error());
        }
        auto program = read_posix_pattern(text.regexp, flags);
        if (!program) return Unexpected(std::move(program).error());
        return std::unique_ptr<Pattern>(std::make_unique<PosixPattern>(std::move(*program)));
    }
};

}  // namespace

OpenedTable open_regexp(const Opening& opening) {
    return open_pattern_table(opening, PosixLanguage());
}

}  // namespace postrider::table
