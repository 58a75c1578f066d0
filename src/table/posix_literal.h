// What stands in every text that a pattern matches: most texts are told apart by that alone.
#pragma once

#include <string_view>
#include <vector>

#include "table/posix_program.h"

namespace postrider::table {

/// Bytes that every match of a pattern contains, one right behind the other: of
/// `^Received:.*\(Authenticated sender:` the second part. Each is a set, since case may not count.
class PosixLiteral {
public:
    /// The longest there is, or its first 32 bytes. None if the pattern is too long to look for
    /// one, or has no such bytes.
    explicit PosixLiteral(const PosixProgram& program);

    /// False if no part of `subject` can match. One look at each byte, in most cases.
    bool may_match_in(std::string_view subject) const;

    std::size_t size() const { return sets_.size(); }

private:
    std::vector<ByteSet> sets_;
};

}  // namespace postrider::table
