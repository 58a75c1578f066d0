#include "message/report.h"

#include <algorithm>
#include <random>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/ascii.h"

namespace postrider::message {

namespace {

using ::testing::HasSubstr;
using ::testing::Not;

WallTime at(std::int64_t seconds) {
    return WallTime(std::chrono::seconds(seconds));
}

mail::Disposition refused() {
    mail::Disposition disposition;
    disposition.kind = mail::Disposition::Kind::Bounced;
    disposition.status = mail::EnhancedStatus(5, 1, 1);
    disposition.text =
        "host smtp.example.net[192.0.2.7] said: 550 5.1.1 no such user here (in reply to RCPT TO "
        "command)";
    disposition.remote_mta = "smtp.example.net";
    disposition.diagnostic = "550 5.1.1 no such user here";
    return disposition;
}

ReportRequest request() {
    ReportRequest request;
    request.id = *mail::QueueId::parse("A27DEA800E8");
    request.original_id = *mail::QueueId::parse("8AEDBA800E1");
    request.now = at(1795356698);
    request.arrival = at(1795356695);
    request.retry_until = at(1795356695 + 5 * 86400);
    request.host = "desk.example";
    request.origin = "desk.example";
    request.original.reverse_path = mail::Address("ann", "desk.example");
    request.recipients.emplace_back(mail::Recipient({"bob", "corp.example"}), refused());
    request.original_content =
        "Received: by desk.example (postrider)\r\n\tid 8AEDBA800E1\r\n"
        "Message-ID: <m1@desk.example>\r\nSubject: hello\r\n\r\nbody\r\n";
    request.original_size = request.original_content.size();
    return request;
}

/// Without CR, for comparing.
std::string lf(std::string text) {
    std::erase(text, '\r');
    return text;
}

std::string written(const ReportRequest& request) {
    return lf(write_report(request).content);
}

}  // namespace

TEST(Report, OfDamagedContentHasNoBareLineEnd) {
    auto damaged = request();
    damaged.original_content = "A: b\n\rc\r\r\n\n\nbody\r";
    const std::string content = write_report(damaged).content;
    for (std::size_t i = 0; i < content.size(); ++i) {
        const bool ends_line = content[i] == '\r' || content[i] == '\n';
        if (!ends_line) continue;
        ASSERT_EQ(content.substr(i, 2), "\r\n") << i;
        ++i;
    }
}

TEST(Report, OfAFailureIsExactlyThis) {
    const auto report = write_report(request());

    EXPECT_EQ(lf(report.content),
              R"(Received: by desk.example (postrider)
	id A27DEA800E8; Sun, 22 Nov 2026 14:11:38 +0000 (UTC)
Date: Sun, 22 Nov 2026 14:11:38 +0000 (UTC)
From: Mail Delivery System <MAILER-DAEMON@desk.example>
Subject: Undelivered Mail Returned to Sender
To: ann@desk.example
Auto-Submitted: auto-replied
MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status;
	boundary="8AEDBA800E1.1795356698/desk.example"
Content-Transfer-Encoding: 8bit
Message-Id: <20261122141138.A27DEA800E8@desk.example>

This is a MIME-encapsulated message.

--8AEDBA800E1.1795356698/desk.example
Content-Description: Notification
Content-Type: text/plain; charset=utf-8
Content-Transfer-Encoding: 8bit

This is the mail system at host desk.example.

Sorry: your message has not reached the recipients listed below, and it
will not be tried again.
The whole message is attached, nothing of it is lost.

What you can do: look at the address first; most often a letter is wrong.
If the address is right, the answer quoted below says what the other side
objects to. Correct that, then send the message again.

If you need help, write to postmaster and include this report. You may
leave out the attached message.

                   The mail system

<bob@corp.example>: host smtp.example.net[192.0.2.7] said: 550 5.1.1 no such
    user here (in reply to RCPT TO command)

--8AEDBA800E1.1795356698/desk.example
Content-Description: Delivery report
Content-Type: message/delivery-status

Reporting-MTA: dns; desk.example
X-Postfix-Queue-ID: 8AEDBA800E1
X-Postfix-Sender: rfc822; ann@desk.example
Arrival-Date: Sun, 22 Nov 2026 14:11:35 +0000 (UTC)

Final-Recipient: rfc822; bob@corp.example
Action: failed
Status: 5.1.1
Remote-MTA: dns; smtp.example.net
Diagnostic-Code: smtp; 550 5.1.1 no such user here

--8AEDBA800E1.1795356698/desk.example
Content-Description: Undelivered Message
Content-Type: message/rfc822
Content-Transfer-Encoding: 8bit

Return-Path: <ann@desk.example>
Received: by desk.example (postrider)
	id 8AEDBA800E1
Message-ID: <m1@desk.example>
Subject: hello

body

--8AEDBA800E1.1795356698/desk.example--
)");
    EXPECT_EQ(report.message_id, "<20261122141138.A27DEA800E8@desk.example>");
    EXPECT_EQ(report.subject, "Undelivered Mail Returned to Sender");
    EXPECT_EQ(report.size, report.content.size());  // No line of 128 bytes.
    EXPECT_FALSE(report.has_8bit);
    EXPECT_EQ(report.longest_line, 76U);
    EXPECT_EQ(report.header_length, report.content.find("\r\n\r\n") + 4);
}

TEST(Report, NamesTheAddressBeforeAliases) {
    auto aliased = request();
    aliased.recipients[0].recipient.original = mail::Address("root", "desk.example");
    EXPECT_THAT(
        written(aliased),
        HasSubstr("\n<bob@corp.example> (expanded from <root@desk.example>): host\n    smtp"));
    EXPECT_THAT(written(aliased),
                HasSubstr("\nOriginal-Recipient: rfc822; root@desk.example\nAction"));

    aliased.recipients[0].recipient.original_recipient = "rfc822;r@x.example";
    EXPECT_THAT(written(aliased), HasSubstr("\nOriginal-Recipient: rfc822;r@x.example\nAction"));

    auto same = request();
    same.recipients[0].recipient.original = mail::Address("BOB", "corp.example");
    EXPECT_THAT(written(same), Not(HasSubstr("expanded from")));
}

TEST(Report, OfADelaySaysUntilWhen) {
    auto delayed = request();
    delayed.kind = ReportKind::Delay;
    delayed.delay_warning_time = std::chrono::hours(4);
    delayed.recipients[0].disposition = mail::Disposition();
    delayed.recipients[0].disposition.status = mail::EnhancedStatus(4, 4, 1);
    delayed.recipients[0].disposition.text =
        "connect to smtp.example.net[192.0.2.7]:465: Connection refused";

    const auto text = written(delayed);

    EXPECT_THAT(text, HasSubstr("Subject: Delayed Mail (still being retried)\n"));
    EXPECT_THAT(text, HasSubstr("more than 4 hours to be delivered"));
    EXPECT_THAT(text, HasSubstr("is 5 days old;"));
    EXPECT_THAT(text,
                HasSubstr("Action: delayed\nStatus: 4.4.1\nDiagnostic-Code: X-Postfix; connect to "
                          "smtp.example.net[192.0.2.7]:465:\n    Connection refused\n"
                          "Will-Retry-Until: Fri, 27 Nov 2026 14:11:35 +0000 (UTC)\n"));
    EXPECT_THAT(text, HasSubstr("Content-Description: Undelivered Message Headers\n"
                                "Content-Type: text/rfc822-headers\n"
                                "Content-Transfer-Encoding: 8bit\n"));
    EXPECT_THAT(text, HasSubstr("Subject: hello\n\n--8AEDB"));
    EXPECT_THAT(text, Not(HasSubstr("body\n")));
    EXPECT_THAT(text, Not(HasSubstr("Remote-MTA")));
}

TEST(Report, OfASuccessIsNotAboutUndeliveredMail) {
    auto sent = request();
    sent.kind = ReportKind::Success;
    const auto text = written(sent);
    EXPECT_THAT(text, HasSubstr("Subject: Successful Mail Delivery Report\n"));
    EXPECT_THAT(text, HasSubstr("Action: relayed\n"));
    EXPECT_THAT(text, HasSubstr("Content-Description: Message Headers\n"));
}

TEST(Report, ReturnsHeadersOnlyWhereItMust) {
    auto full = request();
    EXPECT_TRUE(returns_full_message(full));
    full.returned_size_max = 10;
    EXPECT_FALSE(returns_full_message(full));
    full.returned_size_max = 0;
    EXPECT_TRUE(returns_full_message(full));
    full.headers_only = true;
    EXPECT_FALSE(returns_full_message(full));
    full = request();
    full.original.dsn_return = mail::DsnReturn::Headers;
    EXPECT_FALSE(returns_full_message(full));
    EXPECT_THAT(written(full), HasSubstr("The beginning of the message is attached."));
}

TEST(Report, LabelsFollowTheOriginalWithoutSmtputf8) {
    auto plain = request();
    plain.smtputf8_enable = false;
    auto text = written(plain);
    EXPECT_THAT(text, Not(HasSubstr("Content-Transfer-Encoding")));
    EXPECT_THAT(text, HasSubstr("text/plain; charset=us-ascii\n\n"));

    plain.original.body = mail::BodyType::SevenBit;
    text = written(plain);
    EXPECT_THAT(text, HasSubstr("example\"\nContent-Transfer-Encoding: 7bit\n"));
    EXPECT_THAT(text, HasSubstr("text/plain; charset=us-ascii\n\n"));

    plain.original.body = mail::BodyType::EightBitMime;
    text = written(plain);
    EXPECT_THAT(text, HasSubstr("charset=utf-8\nContent-Transfer-Encoding: 8bit\n"));
    EXPECT_THAT(text, HasSubstr("message/rfc822\nContent-Transfer-Encoding: 8bit\n"));
}

TEST(Report, OfASmtputf8MessageIsGlobal) {
    auto global = request();
    global.original.smtputf8 = true;
    global.original.reverse_path = mail::Address("jos\xc3\xa9", "x.example");
    const auto text = written(global);
    EXPECT_THAT(text, HasSubstr("Content-Type: message/global-delivery-status\n"
                                "Content-Transfer-Encoding: 8bit\n"));
    EXPECT_THAT(text, HasSubstr("X-Postfix-Sender: utf-8; jos\xc3\xa9@x.example\n"));
    EXPECT_THAT(text, HasSubstr("Content-Type: message/global\n"));

    global.original.smtputf8 = false;
    EXPECT_THAT(written(global), HasSubstr("X-Postfix-Sender: rfc822; jos??@x.example\n"));
}

TEST(Report, CanThread) {
    auto threaded = request();
    threaded.threaded = true;
    EXPECT_THAT(written(threaded), HasSubstr("\nReferences: <m1@desk.example>\nIn-Reply-To: "
                                             "<m1@desk.example>\nAuto-Submitted: auto-replied\n"));
    threaded.original_content = "Message-Id:\r\n <folded@x>\r\n\r\n";
    EXPECT_THAT(written(threaded), HasSubstr("\nReferences: <folded@x>\n"));
    for (const std::string_view id : {"no brackets", "<a b>", "<>", "<\xc3\xa9@x>", "<a\x01@x>"}) {
        threaded.original_content = "Message-Id: " + std::string(id) + "\r\n\r\n";
        EXPECT_THAT(written(threaded), Not(HasSubstr("References")));
    }
    threaded.original_content = "Subject: x\r\n\r\nMessage-Id: <in@body>\r\n";
    EXPECT_THAT(written(threaded), Not(HasSubstr("References")));
}

TEST(Report, ToThePostmasterIsGeneratedNotReplied) {
    auto copy = request();
    copy.to_postmaster = true;
    copy.to = "postmaster";
    const auto text = written(copy);
    EXPECT_THAT(text, HasSubstr("Subject: Postmaster Copy: Undelivered Mail\n"
                                "To: postmaster@desk.example\nAuto-Submitted: auto-generated\n"));
}

TEST(Report, SaysTheEnvelopeIdAndNoNullSender) {
    auto with_id = request();
    with_id.original.envelope_id = "QQ314";
    with_id.original.reverse_path = mail::Address();
    with_id.to = "postmaster@x.example";
    const auto text = written(with_id);
    EXPECT_THAT(text, HasSubstr("Original-Envelope-Id: QQ314\nX-Postfix-Queue-ID"));
    EXPECT_THAT(text, Not(HasSubstr("X-Postfix-Sender")));
    EXPECT_THAT(text, HasSubstr("\nReturn-Path: <>\n"));
}

TEST(Report, AMessageThatKnowsTheBoundaryCannotEndItsPart) {
    auto knowing = request();
    knowing.original_content += "--8AEDBA800E1.1795356698/desk.example--\r\n";
    const auto text = written(knowing);
    EXPECT_THAT(text, HasSubstr("boundary=\"8AEDBA800E1.1795356698/desk.example=\"\n"));
    EXPECT_TRUE(text.ends_with("\n--8AEDBA800E1.1795356698/desk.example=--\n"));
}

TEST(Report, WrapsWordsLongerThanALine) {
    auto odd = request();
    odd.recipients[0].disposition.text =
        "a " + std::string(200, 'x') + " " + std::string(90, 'y') + "  z  ";
    EXPECT_THAT(written(odd), HasSubstr("\n<bob@corp.example>: a\n    " + std::string(200, 'x') +
                                        "\n    " + std::string(90, 'y') + "\n    z\n\n"));
}

// The property that counts: nothing a peer says adds a line that means something.
TEST(Report, IsWellFormedWhateverPeersAndSendersSay) {
    std::mt19937 random(13);
    const std::vector<std::string> evil = {"\r\n",
                                           "\n",
                                           "\r",
                                           "\r\n\r\n",
                                           "--8AEDBA800E1.1795356698/desk.example",
                                           "\r\n--",
                                           "Action: delivered",
                                           std::string(1, '\0'),
                                           "\x1b[2J",
                                           "\xff",
                                           "\xe2\x82\xac",
                                           " ",
                                           "\t",
                                           "word",
                                           "\r\nBcc: x@y",
                                           "<",
                                           ">",
                                           ";",
                                           "\"",
                                           "\\"};
    const auto noise = [&] {
        std::string text;
        for (unsigned i = random() % 12; i > 0; --i) text += evil[random() % evil.size()];
        return text;
    };
    for (int round = 0; round < 3000; ++round) {
        auto hostile = request();
        hostile.kind = static_cast<ReportKind>(random() % 3);
        hostile.smtputf8_enable = random() % 2 == 0;
        hostile.original.smtputf8 = random() % 2 == 0;
        hostile.threaded = true;
        hostile.original.envelope_id = noise();
        hostile.original.reverse_path = mail::Address(noise(), noise());
        hostile.recipients[0].disposition.text = noise();
        hostile.recipients[0].disposition.diagnostic = noise();
        hostile.recipients[0].disposition.remote_mta = noise();
        hostile.recipients[0].recipient.original_recipient = noise();
        hostile.recipients[0].recipient.address = mail::Address("b" + noise(), noise());
        hostile.zone.name = noise();

        const auto report = write_report(hostile);
        const auto text = lf(report.content);

        ASSERT_EQ(text.find('\0'), std::string::npos);
        ASSERT_EQ(std::count(report.content.begin(), report.content.end(), '\r'),
                  std::count(report.content.begin(), report.content.end(), '\n'));
        std::vector<std::string> actions;
        int boundaries = 0;
        int status_blank_lines = 0;
        bool in_status = false;
        for (std::size_t start = 0; start < text.size();) {
            const auto end = text.find('\n', start);
            ASSERT_NE(end, std::string::npos);
            const auto line = text.substr(start, end - start);
            start = end + 1;
            ASSERT_FALSE(line.starts_with("Bcc:"));
            if (line.starts_with("--")) ++boundaries;
            if (line.starts_with("Action:")) actions.push_back(line);
            if (line.starts_with("--")) in_status = false;
            if (in_status && line.empty()) ++status_blank_lines;
            if (line.starts_with("Reporting-MTA")) in_status = true;
            const bool global = hostile.original.smtputf8 && hostile.smtputf8_enable;
            ASSERT_TRUE(!in_status || global || is_ascii(line)) << line;
        }
        ASSERT_EQ(boundaries, 4);
        ASSERT_EQ(actions.size(), 1U);
        ASSERT_EQ(status_blank_lines, 2);
        const auto head = text.substr(0, text.find("\n\n"));
        ASSERT_EQ(std::count(head.begin(), head.end(), '\n'), hostile.smtputf8_enable ? 13 : 12);
    }
}

}  // namespace postrider::message
