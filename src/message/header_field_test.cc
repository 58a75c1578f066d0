#include "message/header_field.h"

#include <gtest/gtest.h>

namespace postrider::message {
namespace {

TEST(HeaderField, KnowsWhereANameEnds) {
    const std::pair<const char*, std::size_t> cases[] = {
        {"A:", 1},
        {"Subject: x", 7},
        {"Subject \t: x", 7},
        {"Subject x: y", 0},
        {": x", 0},
        {"no colon", 0},
        {"", 0},
        {" A: x", 0},
        {"S\xc3\xbc: x", 0},
        {"A\x01: x", 0},
    };
    for (const auto& [line, length] : cases) EXPECT_EQ(field_name_length(line), length) << line;
}

TEST(HeaderField, KnowsNamesInAnyCase) {
    EXPECT_EQ(field_of("BCC"), Field::Bcc);
    EXPECT_EQ(field_of("apparently-to"), Field::OtherRecipient);
    EXPECT_EQ(field_of("To"), Field::To);
    EXPECT_EQ(field_of("Message-ID"), Field::MessageId);
    EXPECT_EQ(field_of("Disposition-Notification-To"), Field::OtherSender);
    EXPECT_EQ(field_of("X-To"), Field::Other);
    EXPECT_EQ(field_of(std::string(1000, 'x')), Field::Other);
    EXPECT_TRUE(is_resent(field_of("Resent-Message-Id")));
    EXPECT_FALSE(is_resent(field_of("Received")));
    EXPECT_TRUE(is_mime(field_of("MIME-Version")));
}

TEST(HeaderField, FindsTheValueBehindFolding) {
    EXPECT_EQ(value_of("Message-Id:\n\t<1@x>"), "<1@x>");
    EXPECT_EQ(value_of("A:"), "");
    EXPECT_EQ(name_of("Subject : x"), "Subject");
}

TEST(HeaderField, FirstValueIsUnfoldedAndOfTheHeaderAlone) {
    const std::string_view header =
        "From: a\r\nSUBJECT : one\r\n two\n\tthree\r\nSubject: later\r\n\r\nTo: body\r\n";
    EXPECT_EQ(first_value(header, "Subject", 100), "one two\tthree");
    EXPECT_EQ(first_value(header, "Subject", 3), "one two") << "enough to see that it is longer";
    EXPECT_EQ(first_value(header, "To", 100), "");
    EXPECT_EQ(first_value("", "To", 100), "");
}

}  // namespace
}  // namespace postrider::message
