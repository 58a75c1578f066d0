// pcre: Perl's regular expressions.
#define PCRE2_CODE_UNIT_WIDTH 8
#include <cstdint>

#include <pcre2.h>

#include "core/ascii.h"
#include "table/pattern_table.h"

namespace postrider::table {
namespace {

/// A pattern that needs more steps or memory for one subject is a mistake, or under attack. A
/// tenth of PCRE2's own step limit: a tenth of a second or so.
constexpr std::uint32_t kMatchLimit = 1'000'000;
constexpr std::uint32_t kDepthLimit = 100'000;
constexpr std::uint32_t kHeapLimitKibibytes = 20'000;

struct Free {
    void operator()(pcre2_code* code) const { pcre2_code_free(code); }
    void operator()(pcre2_match_data* data) const { pcre2_match_data_free(data); }
    void operator()(pcre2_match_context* context) const { pcre2_match_context_free(context); }
};

std::string describe(int outcome) {
    unsigned char text[256];
    if (pcre2_get_error_message(outcome, text, sizeof text) < 0)
        return "unexpected pcre2 error code " + std::to_string(outcome);
    return reinterpret_cast<const char*>(text);
}

bool is_bad_utf8(int outcome) {
    return outcome <= PCRE2_ERROR_UTF8_ERR1 && outcome >= PCRE2_ERROR_UTF8_ERR21;
}

class PerlPattern final : public Pattern {
public:
    explicit PerlPattern(pcre2_code* compiled)
        : code_(compiled),
          data_(pcre2_match_data_create_from_pattern(compiled, nullptr)),
          context_(pcre2_match_context_create(nullptr)) {
        POSTRIDER_CHECK(data_ && context_);
        pcre2_set_match_limit(context_.get(), kMatchLimit);
        pcre2_set_depth_limit(context_.get(), kDepthLimit);
        pcre2_set_heap_limit(context_.get(), kHeapLimitKibibytes);
    }

    std::size_t group_count() const override {
        std::uint32_t count = 0;
        pcre2_pattern_info(code_.get(), PCRE2_INFO_CAPTURECOUNT, &count);
        return count;
    }

    Result<bool> match(std::string_view subject, Captures* captures) const override {
        const auto* text = reinterpret_cast<PCRE2_SPTR>(subject.data() ? subject.data() : "");
        // Without JIT: its speed is not needed here, and a sandbox may forbid its pages.
        const int outcome =
            pcre2_match(code_.get(), text, subject.size(), 0, 0, data_.get(), context_.get());
        if (outcome == PCRE2_ERROR_NOMATCH || is_bad_utf8(outcome)) return false;
        if (outcome == PCRE2_ERROR_MATCHLIMIT || outcome == PCRE2_ERROR_DEPTHLIMIT)
            return Unexpected(ErrorCode::Limit, "backtracking limit exceeded");
        if (outcome < 0) return Unexpected(ErrorCode::Limit, describe(outcome));
        if (captures) fill(*captures, subject);
        return true;
    }

private:
    void fill(Captures& captures, std::string_view subject) const {
        const PCRE2_SIZE* offsets = pcre2_get_ovector_pointer(data_.get());
        captures.clear();
        for (std::uint32_t n = 0; n < pcre2_get_ovector_count(data_.get()); ++n) {
            const std::size_t start = offsets[2 * n];
            const std::size_t end = offsets[2 * n + 1];
            // \K in a lookahead can put the end before the start.
            const bool taken = start != PCRE2_UNSET && start <= end;
            captures.push_back(taken ? subject.substr(start, end - start) : std::string_view());
        }
    }

    std::unique_ptr<pcre2_code, Free> code_;
    std::unique_ptr<pcre2_match_data, Free> data_;
    std::unique_ptr<pcre2_match_context, Free> context_;
};

class PerlLanguage final : public PatternLanguage {
public:
    explicit PerlLanguage(bool utf8) : utf8_(utf8) {}

    std::string_view type() const override { return "pcre"; }
    std::string_view flags() const override { return "imsxAEUX"; }
    bool has_second_pattern() const override { return false; }

    Result<std::unique_ptr<Pattern>> compile(const PatternText& text, bool) const override {
        std::uint32_t options = PCRE2_CASELESS | PCRE2_DOTALL | (utf8_ ? PCRE2_UTF : 0u);
        for (const char flag : text.flags) options ^= option(flag);
        int failure = 0;
        PCRE2_SIZE offset = 0;
        pcre2_code* compiled =
            pcre2_compile(reinterpret_cast<PCRE2_SPTR>(text.regexp.data()), text.regexp.size(),
                          options, &failure, &offset, nullptr);
        if (!compiled)
            return Unexpected(
                ErrorCode::Invalid,
                "error in regex at offset " + std::to_string(offset) + ": " + describe(failure));
        return std::unique_ptr<Pattern>(std::make_unique<PerlPattern>(compiled));
    }

private:
    static std::uint32_t option(char flag) {
        switch (flag) {
            case 'i':
                return PCRE2_CASELESS;
            case 'm':
                return PCRE2_MULTILINE;
            case 's':
                return PCRE2_DOTALL;
            case 'x':
                return PCRE2_EXTENDED;
            case 'A':
                return PCRE2_ANCHORED;
            case 'E':
                return PCRE2_DOLLAR_ENDONLY;
            case 'U':
                return PCRE2_UNGREEDY;
            default:
                return 0;  // X has had no meaning since PCRE2.
        }
    }

    bool utf8_;
};

}  // namespace

OpenedTable open_pcre(const Opening& opening) {
    return open_pattern_table(opening, PerlLanguage(opening.options.utf8));
}

}  // namespace postrider::table
