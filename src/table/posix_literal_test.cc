#include "table/posix_literal.h"

#include <string>

#include <gtest/gtest.h>

namespace postrider::table {
namespace {

PosixLiteral literal_of(std::string_view pattern, bool ignore_case = true) {
    PosixFlags flags;
    flags.ignore_case = ignore_case;
    auto program = read_posix_pattern(pattern, flags);
    EXPECT_TRUE(program) << pattern;
    return PosixLiteral(*program);
}

TEST(PosixLiteral, IsTheLongestRowThatNoMatchCanDoWithout) {
    const struct {
        std::string pattern;
        std::size_t size;
    } table[] = {
        {"^Received:.*\\(Authenticated sender:", 22},
        {"^Subject: (win|lose) a prize$", 8 + 1},
        {"(abc)+", 3},
        {"(abc)*", 0},
        {"a?b?", 0},
        {"one|other", 0},
        {"(one|other)end", 3},
        {"ab{3}c", 5},
        {"a.c", 3},
        {"(a)(b)(c)", 3},
        {"^$", 0},
        {"x(y|)z", 1},
        {"a{100}", 32},
    };
    for (const auto& one : table)
        EXPECT_EQ(literal_of(one.pattern).size(), one.size) << one.pattern;
}

TEST(PosixLiteral, TellsTextsThatCannotMatch) {
    const PosixLiteral hello = literal_of("x.*hello");
    EXPECT_TRUE(hello.may_match_in("HELLO"));
    EXPECT_TRUE(hello.may_match_in("x hhello"));
    EXPECT_FALSE(hello.may_match_in("x hell"));
    EXPECT_FALSE(hello.may_match_in("hel"));
    EXPECT_FALSE(hello.may_match_in(""));
    EXPECT_FALSE(literal_of("hello", false).may_match_in("HELLO"));
    EXPECT_TRUE(literal_of("a*").may_match_in(""));
}

TEST(PosixLiteral, OfAVeryLongPatternIsNotLookedFor) {
    EXPECT_EQ(literal_of(std::string(2000, 'a')).size(), 0U);
}

}  // namespace
}  // namespace postrider::table
