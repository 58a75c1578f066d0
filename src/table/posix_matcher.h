// Runs a POSIX regular expression in bounded time and memory.
#pragma once

#include <cstddef>
#include <optional>
#include <string_view>
#include <vector>

#include "core/result.h"
#include "table/pattern_table.h"
#include "table/posix_literal.h"
#include "table/posix_program.h"

namespace postrider::table {

/// Matches as POSIX wants it: of all places where the pattern matches the first one, and there the
/// longest. Without back references the time is at most that of one step for each byte and each
/// instruction, whatever the subject; with them it can be more, up to a limit of steps.
///
/// Not for several threads at once.
class PosixMatcher {
public:
    /// What one subject may take: a second at most. All 102,400 bytes of a header against a list of
    /// a hundred words take half of it.
    static constexpr std::size_t kStepsMax = 50'000'000;

    explicit PosixMatcher(PosixProgram program, std::size_t steps_max = kStepsMax);

    std::uint32_t group_count() const { return program_.groups; }

    /// Fills `captures`, if given, with all groups. An error is the limit of steps.
    Result<bool> match(std::string_view subject, Captures* captures) const;

private:
    bool may_match_in(std::string_view subject) const;

    PosixProgram program_;
    std::size_t steps_max_;
    PosixLiteral literal_;
    bool anchored_ = false;         ///< It can match at the start of the text alone.
    std::optional<ByteSet> first_;  ///< What a match begins with, unless it may be empty.
};

}  // namespace postrider::table
