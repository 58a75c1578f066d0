#include "config/main_cf.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace postrider::config {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

namespace {

MainCf parsed(std::string_view text) {
    return parse_main_cf(text, "/etc/main.cf").value();
}

std::vector<std::string> lines(const MainCf& main_cf) {
    std::vector<std::string> result;
    for (const auto& entry : main_cf.entries)
        result.push_back(std::to_string(entry.line) + " " + entry.name + "=" + entry.value);
    return result;
}

}  // namespace

TEST(MainCf, ReadsNamesAndValues) {
    EXPECT_THAT(lines(parsed("a = 1\nb=2\nc =\td  e \t\nf=\n")),
                ElementsAre("1 a=1", "2 b=2", "3 c=d  e", "4 f="));
}

TEST(MainCf, HasNoCommentsAtTheEndOfALine) {
    EXPECT_THAT(lines(parsed("a = 1 # one\n")), ElementsAre("1 a=1 # one"));
}

TEST(MainCf, JoinsContinuationsAcrossCommentsAndEmptyLines) {
    EXPECT_THAT(lines(parsed("a = 1,\n# comment\n\n  # other\n  2\n\t3\nb = 4")),
                ElementsAre("1 a=1,  2\t3", "7 b=4"));
}

TEST(MainCf, TakesTheLastOfDuplicatesAndWarns) {
    const auto main_cf = parsed("a = 1\nb = 2\na = 3\nb = 2\n");

    EXPECT_THAT(lines(main_cf), ElementsAre("3 a=3", "4 b=2"));
    EXPECT_THAT(main_cf.warnings,
                ElementsAre("/etc/main.cf, line 3: overriding earlier entry: a=1"));
}

TEST(MainCf, ReadsLinesThatEndInCarriageReturns) {
    EXPECT_THAT(lines(parsed("a = 1\r\n\r\nb = 2\r\n")), ElementsAre("1 a=1", "3 b=2"));
}

TEST(MainCf, WarnsOfAFirstLineWithWhiteSpace) {
    const auto main_cf = parsed("# top\n  lost = yes\na = 1\n");

    EXPECT_THAT(lines(main_cf), ElementsAre("3 a=1"));
    EXPECT_THAT(main_cf.warnings,
                ElementsAre("/etc/main.cf: logical line must not start with whitespace: "
                            "\"  lost = yes...\""));
}

TEST(MainCf, CutsAtANulByteAndWarns) {
    const auto main_cf = parsed(std::string_view("a = 1\0x\n 2\nb = 3\n", 16));

    EXPECT_THAT(lines(main_cf), ElementsAre("1 a=1", "3 b=3"));
    EXPECT_THAT(main_cf.warnings,
                ElementsAre("/etc/main.cf, line 1-2: text after null byte may be ignored"));
}

TEST(MainCf, ReportsEachMalformedLine) {
    const auto main_cf = parse_main_cf("a\nb = 1\n= 2\nc d = 3\n", "/etc/main.cf");

    ASSERT_FALSE(main_cf);
    EXPECT_EQ(main_cf.error().message,
              "/etc/main.cf, line 1: missing '=' after attribute name: \"a\"; "
              "/etc/main.cf, line 3: missing attribute name: \"= 2\"; "
              "/etc/main.cf, line 4: missing '=' after attribute name: \"c d = 3\"");
}

TEST(MainCf, IsEmptyWhenTheFileIs) {
    EXPECT_THAT(lines(parsed("")), IsEmpty());
    EXPECT_THAT(lines(parsed("\n\n#\n \n")), IsEmpty());
}

TEST(MainCf, NamesTheFileThatIsMissing) {
    const auto main_cf = read_main_cf("/nonexistent/main.cf");

    ASSERT_FALSE(main_cf);
    EXPECT_EQ(
        main_cf.error().message,
        "open /nonexistent/main.cf: No such file or directory (-c or MAIL_CONFIG names another "
        "directory)");
    EXPECT_EQ(main_cf.error().code, ErrorCode::NotFound);
}

TEST(MainCf, RefusesADirectory) {
    EXPECT_FALSE(read_main_cf("/tmp"));
}

}  // namespace postrider::config
