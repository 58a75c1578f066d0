// Tables of rules `/pattern/flags result`, whatever the language of the patterns.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/log.h"
#include "core/result.h"
#include "table/table.h"
#include "table/table_types.h"

namespace postrider::table {

/// Where the groups of a pattern matched; [0] is the whole match. A group that took no part is
/// empty.
using Captures = std::vector<std::string_view>;

/// One compiled pattern.
class Pattern {
public:
    virtual ~Pattern() = default;
    /// Fills `captures`, if given, with at most as many groups as were asked for when it was
    /// compiled. An error is a limit that was reached, without the place it happened at.
    virtual Result<bool> match(std::string_view subject, Captures* captures) const = 0;
    virtual std::size_t group_count() const = 0;
};

/// A pattern as written: between its delimiters, its flags, and whether `!` turned it around.
struct PatternText {
    std::string regexp;
    std::string flags;
    bool positive = true;
};

/// A language of patterns.
class PatternLanguage {
public:
    virtual ~PatternLanguage() = default;
    virtual std::string_view type() const = 0;  ///< `regexp`
    /// Flags that can be given; each toggles something.
    virtual std::string_view flags() const = 0;
    /// Whether `/p1/!/p2/` is a rule.
    virtual bool has_second_pattern() const = 0;
    /// `capturing`: the groups will be asked for.
    virtual Result<std::unique_ptr<Pattern>> compile(const PatternText&, bool capturing) const = 0;
};

/// A result with `$1`, `${1}`, `$(1)` in it; `$$` is a dollar sign.
class ResultTemplate {
public:
    /// The errors are Postfix's words for what is wrong.
    static Result<ResultTemplate> parse(std::string_view text);

    std::size_t group_max() const { return group_max_; }
    std::string expand(const Captures&) const;

private:
    struct Piece {
        std::string text;
        std::size_t group = 0;  ///< When not 0, the piece is that group.
    };
    std::vector<Piece> pieces_;
    std::size_t group_max_ = 0;
};

/// Reads the rules of `opening` in `language`. Malformed rules are warned about and skipped.
OpenedTable open_pattern_table(const Opening& opening, const PatternLanguage& language);

}  // namespace postrider::table
