#include "smtp/reply.h"

#include <gtest/gtest.h>

namespace postrider::smtp {

TEST(Reply, IsWrittenWithItsCodeOnEveryLine) {
    EXPECT_EQ(wire(Reply(250, {2, 1, 0}, "Ok")), "250 2.1.0 Ok\r\n");
    EXPECT_EQ(wire(Reply(354, "End data with <CR><LF>.<CR><LF>")),
              "354 End data with <CR><LF>.<CR><LF>\r\n");
    const std::vector<std::string> lines = {"desk.example", "PIPELINING", "CHUNKING"};
    EXPECT_EQ(wire(Reply(250, lines)), "250-desk.example\r\n250-PIPELINING\r\n250 CHUNKING\r\n");
}

TEST(Reply, CannotBeSplitByItsText) {
    EXPECT_EQ(wire(Reply(550, {5, 1, 1}, "<a\r\n250 Ok\x01>: unknown")),
              "550 5.1.1 <a??250 Ok?>: unknown\r\n");
}

TEST(Reply, HasAnEnhancedStatusOnlyOfItsOwnClass) {
    struct Row {
        int code;
        std::string text;
        mail::EnhancedStatus expected;
    };
    for (const Row& row : {Row{250, "2.0.0 Ok", {2, 0, 0}}, Row{451, "4.7.1 later", {4, 7, 1}},
                           Row{550, "5.1.1", {5, 1, 1}}, Row{550, "  5.1.1 x", {5, 1, 1}},
                           Row{550, "no such user", {5, 0, 0}}, Row{450, "5.1.1 x", {4, 0, 0}},
                           Row{354, "2.0.0 go on", {5, 5, 0}}, Row{250, "2.0.0x", {2, 0, 0}}})
        EXPECT_EQ(Reply(row.code, row.text).status_or_generic(), row.expected) << row.text;
    EXPECT_FALSE(Reply(450, "5.1.1 x").status());
}

TEST(Reply, TakesTheStatusOfItsLastLine) {
    const std::vector<std::string> lines = {"5.7.8 first", "5.7.9 last"};
    EXPECT_EQ(Reply(535, lines).status(), mail::EnhancedStatus(5, 7, 9));
}

TEST(Reply, IsLoggedWithTheCodeOfEachLine) {
    const std::vector<std::string> lines = {"5.1.1 first  words", "5.1.1 second"};
    EXPECT_EQ(log_text(Reply(550, lines)), "550-5.1.1 first  words 550 5.1.1 second");
    EXPECT_EQ(log_text(Reply(250, "")), "250");
    EXPECT_EQ(log_text(Reply(250, "a\nb\x1b[31m")), "250 a?b?[31m");
}

TEST(Reply, IsLoggedInBoundedLength) {
    const std::vector<std::string> lines(100, std::string(2048, 'x'));
    EXPECT_EQ(log_text(Reply(250, lines)).size(), 2000U);
}

}  // namespace postrider::smtp
