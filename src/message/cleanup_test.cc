#include "message/cleanup.h"

#include <algorithm>
#include <random>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/checksum.h"
#include "message/cleanup_fixture.h"

namespace postrider::message {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::StartsWith;

constexpr const char* kReceived =
    "Received: by desk.example (postrider, from userid 1000)\n"
    "\tid CAA14A80218; Sun, 22 Nov 2026 14:02:35 +0000 (UTC)\n";
constexpr const char* kMessageId = "Message-Id: <20261122140235.CAA14A80218@desk.example>\n";
constexpr const char* kDate = "Date: Sun, 22 Nov 2026 14:02:35 +0000 (UTC)\n";

// What each program says is written down as it says it; see the names.
struct Program {
    const char* name;
    bool extracts;  ///< It calls sendmail -t.
    const char* arguments;
    const char* input;
    const char* output;  ///< Behind Received:; `%M` and `%D` stand for Message-Id and Date.
    const char* recipients;
};

const Program kPrograms[] = {
    {"cron", false, "alice",
     "From: root (Cron Daemon)\nTo: alice\nSubject: Cron <alice@desk> date\n"
     "MIME-Version: 1.0\nContent-Transfer-Encoding: 8bit\nX-Cron-Env: <SHELL=/bin/sh>\n\nout\n",
     "From: root@desk.example (Cron Daemon)\nTo: alice@desk.example\n"
     "Subject: Cron <alice@desk> date\nMIME-Version: 1.0\nContent-Transfer-Encoding: 8bit\n"
     "X-Cron-Env: <SHELL=/bin/sh>\n%M%D\nout\n",
     "alice@desk.example<alice>"},
    {"cron with MAILTO=a@x,b@y,c@z", false, "a@x,b@y,c@z", "From: root (Cron Daemon)\n\nout\n",
     "From: root@desk.example (Cron Daemon)\n%M%D\nout\n", "a@x, b@y, c@z"},
    {"anacron", false, "alice",
     "From: Anacron <alice>\nTo: alice\nSubject: Anacron job 'cron.daily' on desk\n"
     "Content-Type: text/plain; charset=\"UTF-8\"\n\nx\n.\nlost\n",
     "From: Anacron <alice@desk.example>\nTo: alice@desk.example\n"
     "Subject: Anacron job 'cron.daily' on desk\n"
     "Content-Type: text/plain; charset=\"UTF-8\"\n%M%D\nx\n",
     "alice@desk.example<alice>"},
    {"at", false, "ann", "Subject: Output from your job        7\nTo: ann\n\nx\n",
     "Subject: Output from your job        7\nTo: ann@desk.example\n%M%D"
     "From: ann@desk.example\n\nx\n",
     "ann@desk.example<ann>"},
    {"PHP mail(), CRLF headers and LF body", true, "",
     "To: bob@corp.example\r\nSubject: hi\r\nX-PHP-Originating-Script: 0:t.php\r\n\r\none\ntwo\n",
     "To: bob@corp.example\nSubject: hi\nX-PHP-Originating-Script: 0:t.php\n%M%D"
     "From: ann@desk.example\n\none\ntwo\n",
     "bob@corp.example"},
    {"mailutils, Bcc inside, raw UTF-8 Subject", true, "",
     "Subject: gr\xc3\xbc\xc3\x9f\nTo: <bob@corp.example>\nBcc: <eve@corp.example>\n"
     "X-Mailer: mail (GNU Mailutils 3.15)\n\nx\n",
     "Subject: gr\xc3\xbc\xc3\x9f\nTo: <bob@corp.example>\n"
     "X-Mailer: mail (GNU Mailutils 3.15)\n%M%DFrom: ann@desk.example\n\nx\n",
     "bob@corp.example, eve@corp.example"},
    {"nodemailer, recipients as arguments and Bcc inside", false, "bob@corp.example,eve@x.example",
     "From: a@x.example\r\nTo: bob@corp.example\r\nBcc: eve@x.example\r\n"
     "Message-ID: <1@x>\r\nDate: Sun, 22 Nov 2026 14:00:00 +0000\r\n\r\nline\nline\n",
     "From: a@x.example\nTo: bob@corp.example\n"
     "Message-ID: <1@x>\nDate: Sun, 22 Nov 2026 14:00:00 +0000\n\nline\nline\n",
     "bob@corp.example, eve@x.example"},
    {"alpine -t, bcc in lower case and folded", true, "",
     "Date: Sun, 22 Nov 2026 15:00:00 +0100\nFrom: Ann <ann@desk.example>\n"
     "To: Bob <bob@corp.example>\nbcc: c@x.example,\n  Dan (the man) <d@x.example>\n"
     "Message-ID: <a@desk>\n\nhi\n",
     "Date: Sun, 22 Nov 2026 15:00:00 +0100\nFrom: Ann <ann@desk.example>\n"
     "To: Bob <bob@corp.example>\nMessage-ID: <a@desk>\n\nhi\n",
     "bob@corp.example, c@x.example, d@x.example"},
    {"MIME::Lite, CRLF inside a folded Subject", true, "",
     "Date: x\nFrom: a@x\nTo: b@y\nSubject: one\r\n two\nMessage-Id: <1@x>\n\nx\n",
     "Date: x\nFrom: a@x\nTo: b@y\nSubject: one\n two\nMessage-Id: <1@x>\n\nx\n", "b@y"},
    {"sudo", true, "",
     "To: root\nFrom: ann\nAuto-Submitted: auto-generated\nSubject: *** SECURITY ***\n\nx\n",
     "To: root@desk.example\nFrom: ann@desk.example\nAuto-Submitted: auto-generated\n"
     "Subject: *** SECURITY ***\n%M%D\nx\n",
     "root@desk.example<root>"},
    {"fail2ban, no final newline", false, "root@x", "Subject: ban\nDate: d\nFrom: f@x\n\nbye",
     "Subject: ban\nDate: d\nFrom: f@x\n%M\nbye\n", "root@x"},
    {"logwatch", true, "", "To: root\nFrom: root\nSubject: Logwatch\n\n#\n",
     "To: root@desk.example\nFrom: root@desk.example\nSubject: Logwatch\n%M%D\n#\n",
     "root@desk.example<root>"},
    {"an empty message", false, "bob@x", "", "%M%DFrom: ann@desk.example\n", "bob@x"},
};

std::string filled_in(std::string text) {
    for (const auto& [mark, value] : {std::pair("%M", kMessageId), std::pair("%D", kDate)}) {
        const std::size_t at = text.find(mark);
        if (at != std::string::npos) text.replace(at, 2, value);
    }
    return text;
}

TEST(Cleanup, MakesWhatProgramsSendFitForTheInternet) {
    for (const Program& program : kPrograms) {
        SCOPED_TRACE(program.name);
        const Desk desk;
        Submission submission = desk.sendmail(program.arguments);
        submission.extract_recipients = program.extracts;

        const Cleaned cleaned = desk.clean(submission, program.input);

        EXPECT_EQ(cleaned.content, kReceived + filled_in(program.output));
        EXPECT_EQ(cleaned.recipients(), program.recipients);
        EXPECT_EQ(cleaned.sender(), "ann@desk.example");
    }
}

TEST(Cleanup, CompletesMailFromSmtpAndSaysForWhomItCame) {
    const Desk desk;
    const Cleaned cleaned = desk.clean(desk.smtp("bob@corp.example"), "Subject: hi\r\n\r\nhi\r\n");

    EXPECT_EQ(cleaned.content,
              "Received: from me.example (localhost [127.0.0.1])\n"
              "\tby desk.example (postrider) with ESMTP id CAA14A80218\n"
              "\tfor <bob@corp.example>; Sun, 22 Nov 2026 14:02:35 +0000 (UTC)\n"
              "Subject: hi\n" +
                  std::string(kMessageId) + kDate + "From: ann@desk.example\n\nhi\n");
}

TEST(Cleanup, NamesNobodyInReceivedWhenThereAreSeveralRecipients) {
    const Desk desk;
    Submission submission = desk.smtp("bob@corp.example, eve@corp.example");
    submission.trace.client_address = "::1";
    submission.trace.helo = "ev(il; x";

    const Cleaned cleaned = desk.clean(submission, "");

    EXPECT_THAT(cleaned.content, StartsWith("Received: from ev?il??x (localhost [IPv6:::1])\n"
                                            "\tby desk.example (postrider) with ESMTP id "
                                            "CAA14A80218;\n\tSun, 22 Nov 2026"));
    EXPECT_THAT(cleaned.content, Not(HasSubstr("bob@")));
}

TEST(Cleanup, LeavesHeadersOfRemoteMailAlone) {
    const Desk desk;
    Submission submission = desk.smtp("bob@corp.example");
    submission.context = RewriteContext::Remote;

    const Cleaned cleaned = desk.clean(submission, "From: root\nBcc: x@y\n\n");

    EXPECT_EQ(cleaned.after_received(), "From: root\n\n");
    EXPECT_THAT(cleaned.log, ElementsAre("cleanup: CAA14A80218: message-id=<>"));
}

TEST(Cleanup, SuppliesFromWithTheFullName) {
    const std::pair<const char*, const char*> cases[] = {
        {"Ann Example", "From: Ann Example <ann@desk.example>\n"},
        {"Ann E. Example", "From: \"Ann E. Example\" <ann@desk.example>\n"},
        {"Ann \"Q\" \\", "From: \"Ann \\\"Q\\\" \\\\\" <ann@desk.example>\n"},
        {"J\xc3\xb6rg", "From: =?utf-8?Q?J=C3=B6rg?= <ann@desk.example>\n"},
        {"CronDaemon", "From: CronDaemon <ann@desk.example>\n"},
        {"a\r\nBcc: x", "From: \"a  Bcc: x\" <ann@desk.example>\n"},
        {" ", "From: ann@desk.example\n"},
    };
    for (const auto& [name, expected] : cases) {
        const Desk desk;
        Submission submission = desk.sendmail("bob@x");
        submission.full_name = name;
        EXPECT_THAT(desk.clean(submission, "\nx\n").content, HasSubstr(expected));
    }
}

TEST(Cleanup, SuppliesFromInTheObsoleteFormWhenToldTo) {
    Desk desk;
    desk.options.header_from_format = HeaderFromFormat::Obsolete;
    Submission submission = desk.sendmail("bob@x");
    submission.full_name = "Ann (E)";
    EXPECT_THAT(desk.clean(submission, "").content,
                HasSubstr("From: ann@desk.example (Ann \\(E\\))\n"));
}

TEST(Cleanup, SuppliesMailerDaemonForTheNullSender) {
    const Desk desk;
    Submission submission = desk.sendmail("bob@x");
    submission.envelope.reverse_path = {};
    EXPECT_THAT(desk.clean(submission, "").content, HasSubstr("\nFrom: MAILER-DAEMON\n"));
}

TEST(Cleanup, SuppliesTheResentKindOfWhatIsMissing) {
    Desk desk;
    desk.options.undisclosed_recipients_header = "To: undisclosed-recipients:;";
    const Cleaned cleaned = desk.clean(desk.sendmail("bob@x"), "Resent-Sender: eve@x\n\n");

    EXPECT_EQ(cleaned.after_received(),
              "Resent-Sender: eve@x\nResent-" + std::string(kMessageId) + "Resent-" + kDate +
                  "Resent-From: ann@desk.example\nTo: undisclosed-recipients:;\n\n");
    EXPECT_THAT(cleaned.log,
                ElementsAre("cleanup: CAA14A80218: "
                            "resent-message-id=<20261122140235.CAA14A80218@desk.example>",
                            "cleanup: CAA14A80218: message-id=<>"));
}

TEST(Cleanup, SendsToTheResentRecipientsOnlyIfThereAreAny) {
    const Desk desk;
    const Cleaned cleaned =
        desk.clean(desk.sendmail_t("z@x"),
                   "To: a@x\nResent-To: b@x\nResent-Bcc: c@x\nCc: d@x\nSubject: hi\n\nTo: e@x\n");
    EXPECT_EQ(cleaned.recipients(), "z@x, b@x, c@x");
    EXPECT_THAT(cleaned.content, Not(HasSubstr("Resent-Bcc")));
}

TEST(Cleanup, RefusesMailForNobody) {
    const Desk desk;
    const Cleaned none =
        desk.clean(desk.sendmail_t(), "To: undisclosed:;\nSubject: x\n\nTo: a@x\n");
    ASSERT_NE(none.rejected(), nullptr);
    EXPECT_EQ(none.rejected()->text, "No recipient addresses found in message header");
    const Cleaned bad = desk.clean(desk.sendmail_t(), "To: b@x, a\x01z@x\n\n");
    ASSERT_NE(bad.rejected(), nullptr);
    EXPECT_EQ(reply_text(*bad.rejected()), "5.1.3 Error: bad address syntax");
}

TEST(Cleanup, LogsTheMessageIdWhereItStands) {
    Desk desk;
    desk.options.header_checks = desk.tables("header_checks", "regexp:{{/^X-/ WARN}}");
    const Cleaned cleaned = desk.clean(
        desk.smtp("Bob <bob@x>"), "X-A: 1\r\nMessage-ID: <m1@x.example> (c)\r\nX-B: 2\r\n\r\n");
    EXPECT_THAT(
        cleaned.log,
        ElementsAre("cleanup: CAA14A80218: warning: header X-A: 1 from localhost[127.0.0.1]; "
                    "from=<ann@desk.example> to=<bob@x> proto=ESMTP helo=<me.example>",
                    "cleanup: CAA14A80218: message-id=<m1@x.example> (c)",
                    "cleanup: CAA14A80218: warning: header X-B: 2 from localhost[127.0.0.1]; "
                    "from=<ann@desk.example> to=<bob@x> proto=ESMTP helo=<me.example>"));
    EXPECT_EQ(cleaned.accepted()->message_id, "<m1@x.example>");
}

struct Layout {
    const char* name;
    const char* input;
    const char* output;  ///< Behind Received:, for remote SMTP mail, which gets no more fields.
};

const Layout kLayouts[] = {
    {"an mbox line becomes a field", "From bob Sun\n>From x\nA: 1\n\nx\n",
     "X-Mailbox-Line: From bob Sun\nX-Mailbox-Line: >From x\nA: 1\n\nx\n"},
    {"white space first is body", " x: 1\nA: 1\n", "\n x: 1\nA: 1\n"},
    {"white space behind an mbox line is body", "From x\n y\n", "X-Mailbox-Line: From x\n\n y\n"},
    {"a line that is no field ends the fields", "A: 1\nnot a field\nB: 2\n",
     "A: 1\n\nnot a field\nB: 2\n"},
    {"no field at all", "hello\n\nworld\n", "\nhello\n\nworld\n"},
    {"a blank line is not empty", "A: 1\n \nB: 2\n\n", "A: 1\n \nB: 2\n\n"},
    {"space before the colon goes", "Subject : x\nTo\t:y@z\n\n", "Subject: x\nTo:y@z\n\n"},
    {"folding stays as it is", "A: 1\n\t 2\n   3\n\n", "A: 1\n\t 2\n   3\n\n"},
    {"dropped in any case, folded or not",
     "BCC: a\n b\n c\nreturn-path: <x>\nContent-Length :5\nA: 1\n\nBcc: stays\n",
     "A: 1\n\nBcc: stays\n"},
    {"a lone dot is text", "A: 1\n\n.\n..\nx\n", "A: 1\n\n.\n..\nx\n"},
    {"stray CR becomes a space", "A: 1\rB\n\nx\ry\r\r\n\rz", "A: 1 B\n\nx y\n z\n"},
    {"8-bit names are no fields", "S\xc3\xbc: x\n", "\nS\xc3\xbc: x\n"},
};

TEST(Cleanup, KeepsContentAsItIsButForItsFrame) {
    for (const Layout& layout : kLayouts) {
        SCOPED_TRACE(layout.name);
        const Desk desk;
        Submission submission = desk.smtp("bob@x");
        submission.context = RewriteContext::Remote;
        EXPECT_EQ(desk.clean(submission, layout.input).after_received(), layout.output);
    }
}

TEST(Cleanup, DropsMboxLinesFromSendmail) {
    const Desk desk;
    const Cleaned cleaned =
        desk.clean(desk.sendmail("bob@x"), "From a\n>>From b\nFrom: c@x\nFrom: d\n\nFrom e\n");
    EXPECT_THAT(cleaned.after_received(), StartsWith("From: c@x\n"));
    EXPECT_THAT(cleaned.content, HasSubstr("\n\nFrom e\n"));
}

TEST(Cleanup, EndsAtALoneDotUnlessToldOtherwise) {
    const Desk desk;
    Submission submission = desk.sendmail("bob@x");
    EXPECT_THAT(desk.clean(submission, "\n..two\r\n.\r\nlost\n").content, HasSubstr("\n\n..two\n"));
    EXPECT_THAT(desk.clean(submission, "\n..two\r\n.\r\nlost\n").content, Not(HasSubstr("lost")));
    submission.dot_ends = false;
    EXPECT_THAT(desk.clean(submission, "\n.\nkept\n").content, HasSubstr("\n\n.\nkept\n"));
}

TEST(Cleanup, FixesLineEndsAsConfigured) {
    const std::pair<FixLineEndings, const char*> cases[] = {
        {FixLineEndings::Always, "\n\na\nb\nc\n"},
        {FixLineEndings::Strict, "\n\na\nb  \nc\n"},
        {FixLineEndings::Never, "\n\na\nb  \nc\n"},
    };
    for (const auto& [setting, expected] : cases) {
        Desk desk;
        desk.options.sendmail_fix_line_endings = setting;
        EXPECT_THAT(desk.clean(desk.sendmail("bob@x"), "A: 1\n\na\nb\r\r\nc\n").content,
                    HasSubstr(expected));
    }
}

TEST(Cleanup, FoldsARewrittenListAsPostfixDoes) {
    const Desk desk;
    const Cleaned cleaned = desk.clean(
        desk.sendmail("bob@x"),
        "To: a, Bob Builder <b@builders.example>, \"Q. Tip\" <c>,\n friends: d, e@x;, f (g) h\n\n");
    EXPECT_THAT(cleaned.after_received(),
                StartsWith("To: a@desk.example, Bob Builder <b@builders.example>,\n"
                           "\t\"Q. Tip\" <c@desk.example>, friends: d@desk.example, e@x;,\n"
                           "\tf@desk.example, h@desk.example (g)\n"));
}

TEST(Cleanup, CutsAHeaderAtItsLimit) {
    Desk desk;
    desk.options.header_size_limit = 20;
    Submission submission = desk.smtp("bob@x");
    submission.context = RewriteContext::Remote;
    EXPECT_EQ(desk.clean(submission, "A: 3456789012345678901234\n 5\nB: 1\n\n").after_received(),
              "A: 34567890123456789\nB: 1\n\n");
    EXPECT_EQ(desk.clean(desk.sendmail_t(), "To: aaaaaaaaaaaaaaaaaa@x\n\n").rejected()->text,
              "message header length exceeds safety limit");
}

TEST(Cleanup, RefusesWhatIsBeyondItsLimits) {
    Desk desk;
    desk.options.message_size_limit = 1000;
    desk.options.hopcount_limit = 3;
    desk.options.text_line_limit = 500;
    desk.options.header_block_limit = 400;
    struct Case {
        std::string input;
        int code;
        const char* reply;
    };
    std::string many_lines = "\n";
    for (int i = 0; i < 100; ++i) many_lines += "0123456789\n";
    const Case cases[] = {
        {many_lines, 552, "5.3.4 Error: message file too big"},
        {"Received: a\nReceived: b\n\n", 554, "5.4.0 Error: too many hops"},
        {"\n" + std::string(501, 'x'), 554, "5.6.0 Error: text line length exceeds safety limit"},
        {"A: " + std::string(390, 'x') + "\nB: " + std::string(20, 'x') + "\n\n", 554,
         "5.6.0 Error: message header length exceeds safety limit"},
    };
    for (const Case& wanted : cases) {
        const Cleaned cleaned = desk.clean(desk.sendmail("bob@x"), wanted.input);
        ASSERT_NE(cleaned.rejected(), nullptr) << wanted.reply;
        EXPECT_EQ(cleaned.rejected()->reply_code, wanted.code);
        EXPECT_EQ(reply_text(*cleaned.rejected()), wanted.reply);
    }
    EXPECT_THAT(desk.clean(desk.sendmail("bob@x"), cases[1].input).log,
                Contains("cleanup: warning: CAA14A80218: message rejected: hopcount exceeded"));
}

// Q4, U17: each way round adds a field of ours.
TEST(Cleanup, RefusesWhatHasBeenHereThreeTimes) {
    const Desk desk;
    const std::string ours = "Received: from relay.example (relay [192.0.2.1])\n by " +
                             ascii_uppercase(desk.options.rewrite.myhostname) +
                             "\n\t(postrider) with ESMTP id 1; now\n";
    const std::string other = "Received: by there.example (postrider)\n\tid 1; now\n";

    const Cleaned third = desk.clean(desk.sendmail("bob@x"), ours + other + ours + other + "\n");
    EXPECT_NE(third.accepted(), nullptr);
    const Cleaned fourth = desk.clean(desk.sendmail("bob@x"), ours + ours + other + ours + "\n");
    ASSERT_NE(fourth.rejected(), nullptr);
    EXPECT_EQ(fourth.rejected()->reply_code, 554);
    EXPECT_EQ(reply_text(*fourth.rejected()), "5.4.6 Error: mail loops back to myself");
    // Only header fields of the message itself count.
    EXPECT_NE(desk.clean(desk.sendmail("bob@x"), "\n" + ours + ours + ours + ours).accepted(),
              nullptr);
}

TEST(Cleanup, TellsTheQueueWhatItStored) {
    const Desk desk;
    const Cleaned cleaned = desk.clean(desk.sendmail("bob@x"),
                                       "MIME-Version: 1.0\nContent-Transfer-Encoding: 8BIT \n\n"
                                       "gr\xc3\xbc\xc3\x9f\n" +
                                           std::string(3000, 'x') + "\n");
    const Accepted& accepted = *cleaned.accepted();
    EXPECT_EQ(accepted.content_length, cleaned.raw.size());
    Checksum checksum;
    checksum.add(cleaned.raw);
    EXPECT_EQ(accepted.checksum, checksum.value());
    EXPECT_EQ(accepted.header_length, cleaned.raw.find("\r\n\r\n") + 4);
    EXPECT_EQ(accepted.longest_line, 3000U);
    EXPECT_TRUE(accepted.has_8bit);
    EXPECT_FALSE(accepted.held);
    EXPECT_EQ(accepted.envelope.body, mail::BodyType::EightBitMime);
    EXPECT_FALSE(accepted.envelope.smtputf8);
}

TEST(Cleanup, FindsAn8bitEncodingInAPart) {
    const Desk desk;
    const char* message =
        "Content-Type: multipart/mixed; boundary=\"b b\"\n\nprologue\n--b b\n"
        "Content-Transfer-Encoding: binary\n\nx\n--b b--\n";
    EXPECT_EQ(desk.clean(desk.sendmail("bob@x"), message).accepted()->envelope.body,
              mail::BodyType::EightBitMime);
}

// Every door, every way to cut the bytes: the same result.
TEST(Cleanup, GivesTheSameHoweverTheBytesAreSplit) {
    Desk desk;
    desk.options.line_length_limit = 16;
    desk.options.header_checks = desk.tables("header_checks", "regexp:{{/^X-Drop/ IGNORE}}");
    desk.options.body_checks = desk.tables("body_checks", "regexp:{{/zap/ IGNORE}}");
    const std::string message =
        "From x\r\nX-Drop: 1\r\n folded\r\nTo: a,\n b@x\r\nContent-Type: multipart/mixed;\n"
        " boundary=bb\r\n\r\n\r\r\n\r\r\rx\r\n--bb\nBcc: part\n\nzap\nlong line with zap in it\r\n"
        "exactly 16 bytes\nseventeen bytes!!\r\n--bb--\n.\nafter";
    for (const bool from_sendmail : {true, false}) {
        Submission submission = from_sendmail ? desk.sendmail_t("c@x") : desk.smtp("c@x");
        const Cleaned whole = desk.clean(submission, message);
        ASSERT_NE(whole.accepted(), nullptr);
        for (std::size_t piece = 1; piece < message.size(); ++piece) {
            const Cleaned split = desk.clean(submission, message, piece);
            ASSERT_EQ(split.raw, whole.raw) << piece;
            ASSERT_EQ(split.log, whole.log) << piece;
            ASSERT_EQ(split.recipients(), whole.recipients());
            ASSERT_EQ(split.accepted()->size, whole.accepted()->size);
        }
    }
}

void expect_canonical(const std::string& raw) {
    ASSERT_GE(raw.size(), 2U);
    EXPECT_EQ(raw.substr(raw.size() - 2), "\r\n");
    for (std::size_t i = 0; i < raw.size(); ++i) {
        ASSERT_TRUE(raw[i] != '\r' || raw[i + 1] == '\n') << i;
        ASSERT_TRUE(raw[i] != '\n' || raw[i - 1] == '\r') << i;
    }
    const std::string headers = ascii_lowercase(raw.substr(0, raw.find("\r\n\r\n")));
    EXPECT_EQ(headers.find("\r\nbcc:"), std::string::npos);
    EXPECT_EQ(headers.find("\r\nresent-bcc:"), std::string::npos);
}

TEST(Cleanup, MakesCanonicalContentOfAnything) {
    static constexpr std::string_view kWords[] = {
        "\r",          "\n",    "\r\n",   "\r\r\n",
        ".",           "Bcc:",  "bcc :",  " ",
        "\t",          "From ", "To:",    "a@b",
        "Resent-Bcc:", "\"",    "(",      ")",
        "<",           ">",     ",",      ":",
        ";",           "\\",    "X: y\n", "--b",
        "\n\n",        "zz",    "[",      "\xc3\xbc",
        "\xff",        "@",     "%!",     "Content-Type: multipart/mixed; boundary=b\n"};
    Desk desk;
    desk.options.line_length_limit = 40;
    desk.options.header_size_limit = 200;
    std::mt19937 random(20261122);
    for (int round = 0; round < 3000; ++round) {
        std::string message;
        for (auto words = random() % 60; words > 0; --words) {
            message += random() % 40 == 0 ? std::string(1, static_cast<char>(random()))
                                          : std::string(kWords[random() % std::size(kWords)]);
        }
        Submission submission =
            random() % 2 == 0 ? desk.sendmail_t("bob@x") : desk.smtp("bob@x, c@y");
        const Cleaned cleaned = desk.clean(submission, message, 1 + random() % 50);
        if (cleaned.accepted() == nullptr) continue;
        SCOPED_TRACE(message);
        expect_canonical(cleaned.raw);
        if (HasFatalFailure()) return;
    }
}

// What the output may not exceed however long the input is: work is bounded by it.
TEST(Cleanup, HoldsNothingOfALongMessage) {
    const Desk desk;
    CapturedLog log;
    Cleanup cleanup(desk.options, Log(log, "cleanup"), desk.sendmail("bob@x"));
    const std::string piece(40000, 'x');
    std::size_t most = 0;
    cleanup.write("\n");
    for (int i = 0; i < 20; ++i) {
        cleanup.write(piece);
        most = std::max(most, cleanup.take_output().size());
    }
    EXPECT_LE(most, 45000U);
    EXPECT_FALSE(cleanup.is_refused());
}

}  // namespace
}  // namespace postrider::message
