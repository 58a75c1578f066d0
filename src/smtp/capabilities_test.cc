#include "smtp/capabilities.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace postrider::smtp {

namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

Reply ehlo(std::vector<std::string> lines) {
    return Reply(250, std::move(lines));
}

}  // namespace

TEST(Capabilities, OfGmailAreUnderstood) {
    const auto offered = parse_capabilities(
        ehlo({"smtp.gmail.com at your service, [192.0.2.1]", "SIZE 35882577", "8BITMIME",
              "AUTH LOGIN PLAIN XOAUTH2 PLAIN-CLIENTTOKEN OAUTHBEARER XOAUTH",
              "ENHANCEDSTATUSCODES", "PIPELINING", "CHUNKING", "SMTPUTF8"}));

    EXPECT_EQ(offered.host, "smtp.gmail.com");
    EXPECT_TRUE(offered.esmtp && offered.eight_bit_mime && offered.pipelining && offered.chunking &&
                offered.smtputf8 && offered.enhanced_status_codes && offered.size && offered.auth);
    EXPECT_FALSE(offered.starttls || offered.dsn || offered.binary_mime || offered.require_tls);
    EXPECT_EQ(offered.size_max, 35882577U);
    EXPECT_THAT(offered.auth_mechanisms, ElementsAre("LOGIN", "PLAIN", "XOAUTH2",
                                                     "PLAIN-CLIENTTOKEN", "OAUTHBEARER", "XOAUTH"));
}

TEST(Capabilities, AreFoundInAnyCaseAndOnEveryAuthLine) {
    const auto offered = parse_capabilities(ehlo(
        {"x", "auth plain", "AUTH=LOGIN PLAIN", "Auth  \tCram-MD5", "startTLS", "dsn", "size"}));

    EXPECT_TRUE(offered.starttls && offered.dsn && offered.size);
    EXPECT_FALSE(offered.size_max);
    EXPECT_THAT(offered.auth_mechanisms, ElementsAre("PLAIN", "LOGIN", "CRAM-MD5"));
}

TEST(Capabilities, TakeNoWordOfTheFirstLineForAKeyword) {
    const auto offered = parse_capabilities(ehlo({"PIPELINING DSN"}));
    EXPECT_FALSE(offered.pipelining || offered.dsn);
    EXPECT_EQ(offered.host, "PIPELINING");
}

TEST(Capabilities, SizeIsANumberOrNothing) {
    struct Row {
        std::string line;
        std::optional<std::uint64_t> expected;
    };
    for (const Row& row :
         {Row{"SIZE 1000", 1000}, Row{"SIZE 0", {}}, Row{"SIZE", {}}, Row{"SIZE x", {}},
          Row{"SIZE 10x", {}}, Row{"SIZE -1", {}}, Row{"SIZE 99999999999999999999999", {}}}) {
        const auto offered = parse_capabilities(ehlo({"x", row.line}));
        EXPECT_TRUE(offered.size);
        EXPECT_EQ(offered.size_max, row.expected) << row.line;
    }
}

TEST(Capabilities, AreNotBelievedWhenDiscarded) {
    auto discarded = parse_discarded_keywords("pipelining, AUTH\tsize");
    ASSERT_TRUE(discarded);

    const auto offered = parse_capabilities(
        ehlo({"x", "PIPELINING", "AUTH=PLAIN", "AUTH PLAIN", "SIZE 5", "DSN"}), *discarded);

    EXPECT_FALSE(offered.pipelining || offered.auth || offered.size);
    EXPECT_TRUE(offered.dsn);
    EXPECT_EQ(discarded->log_text(), "discarding EHLO keywords: AUTH PIPELINING SIZE");
}

TEST(Capabilities, DiscardingCanBeSilent) {
    auto discarded = parse_discarded_keywords("silent-discard,dsn");
    ASSERT_TRUE(discarded);
    EXPECT_TRUE(discarded->contains("DSN"));
    EXPECT_EQ(discarded->log_text(), "");
    EXPECT_EQ(parse_discarded_keywords("")->log_text(), "");
}

TEST(Capabilities, UnknownDiscardKeywordIsAnError) {
    auto discarded = parse_discarded_keywords("dsn, bogus");
    ASSERT_FALSE(discarded);
    EXPECT_EQ(discarded.error().message, "unknown EHLO keyword \"bogus\"");
}

TEST(Capabilities, MechanismsAreBounded) {
    std::string line = "AUTH";
    for (int i = 0; i < 300; ++i) line += " M" + std::to_string(i);
    EXPECT_EQ(parse_capabilities(ehlo({"x", line})).auth_mechanisms.size(), 64U);
}

TEST(Capabilities, AfterHeloThereAreNone) {
    const auto offered = plain_capabilities(ehlo({"mail.example hello", "PIPELINING"}));
    EXPECT_EQ(offered.host, "mail.example");
    EXPECT_FALSE(offered.esmtp || offered.pipelining);
    EXPECT_EQ(plain_capabilities(Reply()).host, "");
    EXPECT_THAT(offered.auth_mechanisms, IsEmpty());
}

}  // namespace postrider::smtp
