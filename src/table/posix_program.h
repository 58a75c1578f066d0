// A POSIX regular expression as a program of few instructions.
#pragma once

#include <bitset>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "core/result.h"

namespace postrider::table {

using ByteSet = std::bitset<256>;

struct PosixInstruction {
    enum class Op : std::uint8_t {
        Match,
        Byte,      ///< One byte of set `number`; then `next`.
        Split,     ///< `next`, or if that leads nowhere `other`.
        Save,      ///< Keeps the position in slot `number`.
        Assert,    ///< Goes on where the `place` is right.
        Repeated,  ///< The text of group `number` once more.
        Progress,  ///< Goes on where the position is not that of slot `number`.
    };
    enum class Place : std::uint8_t {
        LineStart,
        LineEnd,
        TextStart,
        TextEnd,
        WordStart,
        WordEnd,
        WordEdge,
        NoWordEdge,
    };

    Op op = Op::Match;
    Place place = Place::TextStart;
    std::uint32_t number = 0;
    std::uint32_t next = 0;
    std::uint32_t other = 0;
};

struct PosixProgram {
    std::vector<PosixInstruction> code;  ///< Begins at `start`.
    std::vector<ByteSet> sets;
    std::uint32_t start = 0;
    std::uint32_t groups = 0;  ///< Group n has slots 2n and 2n + 1; n from 1 on.
    std::uint32_t slots = 2;   ///< Those of groups, then those of loops.
    bool has_repeated = false;
    bool ignores_case = false;
    bool by_lines = false;  ///< Newlines end lines.
};

struct PosixFlags {
    bool extended = true;
    bool ignore_case = true;
    bool by_lines = false;
};

/// Reads `pattern`, which the C library's regcomp() has taken, as that reads it in the C locale. An
/// error is a limit: a pattern nested too deeply, or too long once its repetitions are written out.
Result<PosixProgram> read_posix_pattern(std::string_view pattern, const PosixFlags&);

}  // namespace postrider::table
