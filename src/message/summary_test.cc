#include "message/summary.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "message/header_field.h"

namespace postrider::message {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

SummaryRequest request() {
    SummaryRequest request;
    request.id = *mail::QueueId::parse("A27DEA800E8");
    request.now = WallTime(std::chrono::seconds(1795356698));
    request.host = "desk.example";
    request.origin = "desk.example";
    request.to = "ann@desk.example";
    FailedMessage one;
    one.id = *mail::QueueId::parse("8AEDBA800E1");
    one.arrival = WallTime(std::chrono::seconds(1795356695));
    one.subject = "Backup of desk";
    mail::Disposition refused;
    refused.text = "host smtp.example.net[192.0.2.7] said: 550 5.1.1 no such user";
    one.recipients.emplace_back(mail::Recipient({"bob", "corp.example"}), refused);
    request.failed.push_back(one);
    one.id = *mail::QueueId::parse("8AEDBA800E2");
    one.recipients.emplace_back(mail::Recipient({"eve", "corp.example"}), mail::Disposition());
    request.failed.push_back(one);
    return request;
}

TEST(Summary, TellsOfEachMessageAndEachRecipient) {
    const Report report = write_summary(request());

    EXPECT_EQ(report.subject, "Undelivered Mail: 2 messages");
    const std::string& text = report.content;
    EXPECT_THAT(text, HasSubstr("\r\nTo: ann@desk.example\r\n"));
    EXPECT_THAT(text, HasSubstr("\r\nAuto-Submitted: auto-replied\r\n"));
    EXPECT_THAT(text, HasSubstr("2 messages of yours have not"));
    EXPECT_THAT(text, HasSubstr("\r\n\r\n8AEDBA800E1  Sun, 22 Nov 2026 14:11:35 +0000 (UTC)\r\n"
                                "Subject: Backup of desk\r\n<bob@corp.example>: host"));
    EXPECT_THAT(text, HasSubstr("\r\n<eve@corp.example>: no reason was given\r\n"));
    EXPECT_EQ(report.header_length, text.find("\r\n\r\n") + 4);
    EXPECT_THAT(text, HasSubstr("\r\nMessage-Id: " + report.message_id + "\r\n"));
}

// S5: as in a report, nothing that comes from outside ends a line.
TEST(Summary, IsWellFormedWhateverPeersAndSendersSay) {
    SummaryRequest hostile = request();
    hostile.failed[0].subject = "a\r\nBcc: x@evil.example";
    hostile.failed[0].recipients[0].disposition.text = "550 no\r\n.\r\nMAIL FROM:<>\x1b[2J";
    hostile.failed[0].recipients[0].recipient.address.local_part = "b\r\nob";
    hostile.to = "ann\r\nBcc: x@evil.example";

    const std::string text = write_summary(hostile).content;

    EXPECT_THAT(text, Not(HasSubstr("\r\nBcc:")));
    EXPECT_THAT(text, Not(HasSubstr("\r\n.\r\n")));
    EXPECT_THAT(text, Not(HasSubstr("\x1b")));
    for (std::size_t at = 0; (at = text.find_first_of("\r\n", at)) != std::string::npos; at += 2) {
        ASSERT_EQ(text.substr(at, 2), "\r\n");
    }
}

TEST(Summary, IsAsciiWhereUtf8IsNotEnabled) {
    SummaryRequest plain = request();
    plain.smtputf8_enable = false;
    plain.failed[0].subject =
        "Gr\xc3\xbc\xc3\x9f"
        "e";

    const Report report = write_summary(plain);

    EXPECT_FALSE(report.has_8bit);
    EXPECT_THAT(report.content, HasSubstr("Subject: Gr????e"));
}

TEST(Summary, CutsLongReasonsBetweenCharacters) {
    SummaryRequest wordy = request();
    std::string reason = "x";
    for (int i = 0; i < 1000; ++i) reason += "\xc3\xbc";
    wordy.failed[0].recipients[0].disposition.text = reason;

    const Report report = write_summary(wordy);

    EXPECT_LT(report.longest_line, 600U);
    EXPECT_THAT(report.content, HasSubstr("\xc3\xbc...\r\n"));
}

TEST(SubjectOf, FindsTheFieldAndUnfoldsIt) {
    EXPECT_EQ(subject_of("From: a\r\nSubject: one\r\n two\r\nTo: b\r\n"), "one two");
    EXPECT_EQ(subject_of("From: a\r\n\r\nSubject: body\r\n"), "");
    EXPECT_EQ(subject_of("SUBJECT:x"), "x");
    EXPECT_EQ(subject_of(""), "");
    EXPECT_LE(subject_of("Subject: " + std::string(5000, 'x')).size(), kSubjectMax + 3);
}

}  // namespace
}  // namespace postrider::message
