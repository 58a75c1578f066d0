#include "config/values.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace postrider::config {

using std::chrono::seconds;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

TEST(Values, BooleansAreYesAndNoInAnyCaseOnly) {
    EXPECT_EQ(parse_boolean("yes"), true);
    EXPECT_EQ(parse_boolean("No"), false);
    for (const auto* text : {"", "true", "1", "on", "yes ", "y"})
        EXPECT_EQ(parse_boolean(text), std::nullopt) << text;
}

TEST(Values, IntegersAreWholeAndHaveNoSuffix) {
    EXPECT_EQ(parse_integer("35882577"), 35882577);
    EXPECT_EQ(parse_integer("-1"), -1);
    EXPECT_EQ(parse_integer("+7"), 7);
    EXPECT_EQ(parse_integer("007"), 7);
    for (const auto* text : {"", "10M", " 1", "1 ", "0x10", "+-1", "99999999999999999999"})
        EXPECT_EQ(parse_integer(text), std::nullopt) << text;
}

TEST(Values, TimesTakeTheDefaultUnitWhenTheyHaveNone) {
    EXPECT_EQ(parse_time("5", 'd'), seconds(5 * 86400));
    EXPECT_EQ(parse_time("300", 's'), seconds(300));
    EXPECT_EQ(parse_time("4", 'h'), seconds(14400));
    EXPECT_EQ(parse_time("2m", 'd'), seconds(120));
    EXPECT_EQ(parse_time("1w", 's'), seconds(604800));
    EXPECT_EQ(parse_time("0", 'd'), seconds(0));
}

TEST(Values, TimesLookAtTheFirstLetterOnly) {
    EXPECT_EQ(parse_time("5days", 's'), seconds(5 * 86400));
}

TEST(Values, TimesThatMakeNoSenseAreNone) {
    for (const auto* text : {"", "d", "-1d", "5D", "5x", "1.5h", "2147483648s", "99999w"})
        EXPECT_EQ(parse_time(text, 's'), std::nullopt) << text;
    EXPECT_EQ(parse_time("2147483647", 's'), seconds(2147483647));
}

TEST(Values, ListsSplitAtCommasAndWhiteSpace) {
    EXPECT_THAT(split_list("a, b\tc\r\n ,,d"), ElementsAre("a", "b", "c", "d"));
    EXPECT_THAT(split_list(""), IsEmpty());
    EXPECT_THAT(split_list(" , "), IsEmpty());
}

TEST(Values, BracesKeepAnItemTogether) {
    EXPECT_THAT(split_list("GET, regexp:{{/^[^A-Z]/ Bogus}} {x y}"),
                ElementsAre("GET", "regexp:{{/^[^A-Z]/ Bogus}}", "{x y}"));
    EXPECT_THAT(split_list("a} b {c d"), ElementsAre("a}", "b", "{c d"));
}

}  // namespace postrider::config
