// regexp: POSIX regular expressions, as the C library has them.
#include <regex.h>

#include "table/pattern_table.h"

namespace postrider::table {
namespace {

class PosixPattern final : public Pattern {
public:
    /// Owns what regcomp() made.
    PosixPattern(regex_t compiled, bool capturing) : compiled_(compiled), capturing_(capturing) {}
    ~PosixPattern() override { ::regfree(&compiled_); }
    PosixPattern(const PosixPattern&) = delete;
    PosixPattern& operator=(const PosixPattern&) = delete;

    std::size_t group_count() const override { return compiled_.re_nsub; }

    Result<bool> match(std::string_view subject, Captures* captures) const override {
        std::vector<regmatch_t> groups(capturing_ ? compiled_.re_nsub + 1 : 1);
        // REG_STARTEND: the subject ends where it ends, not at a NUL in it.
        groups[0].rm_so = 0;
        groups[0].rm_eo = static_cast<regoff_t>(subject.size());
        const char* text = subject.data() != nullptr ? subject.data() : "";
        const int outcome = ::regexec(&compiled_, text, capturing_ ? groups.size() : 0,
                                      groups.data(), REG_STARTEND);
        if (outcome == REG_NOMATCH) return false;
        if (outcome != 0) return Unexpected(ErrorCode::Limit, describe(outcome, compiled_));
        if (captures) {
            captures->clear();
            for (const regmatch_t& group : groups) captures->push_back(part(subject, group));
        }
        return true;
    }

    static std::string describe(int outcome, const regex_t& compiled) {
        char text[256];
        ::regerror(outcome, &compiled, text, sizeof text);
        return text;
    }

private:
    static std::string_view part(std::string_view subject, const regmatch_t& group) {
        if (group.rm_so < 0) return {};
        return subject.substr(static_cast<std::size_t>(group.rm_so),
                              static_cast<std::size_t>(group.rm_eo - group.rm_so));
    }

    regex_t compiled_;
    bool capturing_;
};

class PosixLanguage final : public PatternLanguage {
public:
    std::string_view type() const override { return "regexp"; }
    std::string_view flags() const override { return "imx"; }
    bool has_second_pattern() const override { return true; }

    Result<std::unique_ptr<Pattern>> compile(const PatternText& text,
                                             bool capturing) const override {
        int options = REG_EXTENDED | REG_ICASE;
        for (const char flag : text.flags) {
            if (flag == 'i') options ^= REG_ICASE;
            if (flag == 'm') options ^= REG_NEWLINE;
            if (flag == 'x') options ^= REG_EXTENDED;
        }
        if (!capturing) options |= REG_NOSUB;
        regex_t compiled;
        const int outcome = ::regcomp(&compiled, text.regexp.c_str(), options);
        if (outcome != 0)
            return Unexpected(ErrorCode::Invalid, PosixPattern::describe(outcome, compiled));
        return std::unique_ptr<Pattern>(std::make_unique<PosixPattern>(compiled, capturing));
    }
};

}  // namespace

OpenedTable open_regexp(const Opening& opening) {
    return open_pattern_table(opening, PosixLanguage());
}

}  // namespace postrider::table
