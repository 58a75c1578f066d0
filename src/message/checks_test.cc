#include "message/checks.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "message/cleanup_fixture.h"

namespace postrider::message {
namespace {

using ::testing::HasSubstr;

constexpr const char* kFrom = " from local; from=<ann@desk.example> to=<bob@x>";

struct Case {
    const char* action;
    const char* logged;    ///< Word, header and text around kFrom; `-` for nothing.
    const char* expected;  ///< The field's place in the content; nullptr if not accepted.
};

TEST(Checks, DoAndLogWhatTheRuleSays) {
    const Case cases[] = {
        {"IGNORE", "-", "A: 1\nB: 2\n"},
        {"STRIP why", "strip: header X: y% why", "A: 1\nB: 2\n"},
        {"info seen", "info: header X: y% seen", "A: 1\nX: y\nB: 2\n"},
        {"WARN", "warning: header X: y%", "A: 1\nX: y\nB: 2\n"},
        {"DUNNO", "-", "A: 1\nX: y\nB: 2\n"},
        {"OK", "-", "A: 1\nX: y\nB: 2\n"},
        {"HOLD me", "hold: header X: y% me", "A: 1\nX: y\nB: 2\n"},
        {"PASS", "pass: header X: y%", "A: 1\nX: y\nB: 2\n"},
        {"REPLACE Z: w", "replace: header X: y% Z: w", "A: 1\nZ: w\nB: 2\n"},
        {"PREPEND Z: w", "prepend: header X: y% Z: w", "A: 1\nZ: w\nX: y\nB: 2\n"},
        {"FILTER a:b", "filter: header X: y% a:b", "A: 1\nX: y\nB: 2\n"},
        {"BCC c@z", "bcc: header X: y% c@z", "A: 1\nX: y\nB: 2\n"},
        {"REDIRECT c@z", "redirect: header X: y% c@z", "A: 1\nX: y\nB: 2\n"},
        {"REJECT", "reject: header X: y% 5.7.1 message content rejected", nullptr},
        {"REJECT no", "reject: header X: y% 5.7.1 no", nullptr},
        {"REJECT 4.2.0 later", "reject: header X: y% 4.2.0 later", nullptr},
        {"DISCARD", "discard: header X: y%", nullptr},
        {"NONSENSE x", "!unknown command in header_checks map: NONSENSE x", "A: 1\nX: y\nB: 2\n"},
        {"FILTER", "!missing FILTER command argument in header_checks map", "A: 1\nX: y\nB: 2\n"},
        {"FILTER x", "!bad FILTER command x in header_checks -- need transport:destination",
         "A: 1\nX: y\nB: 2\n"},
        {"REDIRECT x", "!bad REDIRECT target \"x\" in header_checks map -- need user@domain",
         "A: 1\nX: y\nB: 2\n"},
        {"BCC x", "!bad BCC address \"x\" in header_checks map -- need user@domain",
         "A: 1\nX: y\nB: 2\n"},
        {"PREPEND", "!PREPEND action without text in header_checks map", "A: 1\nX: y\nB: 2\n"},
        {"REPLACE x",
         "!bad REPLACE header text \"x\" in header_checks map -- need \"headername: headervalue\"",
         "A: 1\nX: y\nB: 2\n"},
    };
    for (const Case& one : cases) {
        SCOPED_TRACE(one.action);
        Desk desk;
        desk.options.header_checks =
            desk.tables("header_checks", std::string("regexp:{{/^X:/ ") + one.action + "}}");

        const Cleaned cleaned =
            desk.clean(desk.sendmail("bob@x"), "A: 1\nX: y\nB: 2\nMessage-Id: <1>\n\n");

        std::string line = one.logged;
        if (line != "-") {
            const std::size_t mark = line.find('%');
            if (mark != std::string::npos) {
                const bool has_text = mark + 1 < line.size();
                line.replace(mark, 1, std::string(kFrom) + (has_text ? ":" : ""));
            }
            line = line[0] == '!' ? "cleanup: warning: " + line.substr(1)
                                  : "cleanup: CAA14A80218: " + line;
            EXPECT_EQ(cleaned.log.at(0), line);
        } else {
            EXPECT_EQ(cleaned.log.size(), 1U);
        }
        if (one.expected != nullptr) {
            EXPECT_THAT(cleaned.after_received(), HasSubstr(one.expected));
            EXPECT_NE(cleaned.accepted(), nullptr);
        } else {
            EXPECT_EQ(cleaned.accepted(), nullptr);
        }
    }
}

Cleaned checked(const std::string& action, const char* recipients = "bob@x") {
    Desk desk;
    desk.options.header_checks = desk.tables("header_checks", "regexp:{{/^X:/ " + action + "}}");
    return desk.clean(desk.sendmail(recipients), "X: y\n\nbody\n");
}

TEST(Checks, ChangeWhatBecomesOfTheMessage) {
    EXPECT_TRUE(checked("HOLD").accepted()->held);
    EXPECT_EQ(checked("FILTER smtp:[a]:1").accepted()->content_filter, "smtp:[a]:1");
    EXPECT_EQ(checked("BCC c@z").recipients(), "bob@x, c@z");
    EXPECT_TRUE(checked("BCC c@z").accepted()->envelope.recipients[1].notify.never);
    EXPECT_EQ(checked("REDIRECT c@z", "bob@x, eve@x").recipients(), "c@z<bob@x>");
    EXPECT_TRUE(checked("DISCARD").is_discarded());
    EXPECT_TRUE(checked("DISCARD").raw.find("body") == std::string::npos);
    const Rejected now = *checked("REJECT no").rejected();
    EXPECT_EQ(now.reply_code, 550);
    EXPECT_EQ(reply_text(now), "5.7.1 no");
    EXPECT_EQ(now.envelope.recipients.size(), 1U);
    const Rejected later = *checked("REJECT 4.2.0 later").rejected();
    EXPECT_EQ(later.reply_code, 451);
    EXPECT_EQ(reply_text(later), "4.2.0 later");
}

TEST(Checks, RefuseForNowWhenATableFails) {
    Desk desk;
    desk.options.header_checks = desk.tables("header_checks", "fail:x");
    const Cleaned cleaned = desk.clean(desk.sendmail("bob@x"), "X: y\n\n");
    ASSERT_NE(cleaned.rejected(), nullptr);
    EXPECT_EQ(cleaned.rejected()->reply_code, 451);
    EXPECT_EQ(cleaned.rejected()->status, mail::EnhancedStatus(4, 3, 0));
}

// The article's rule, against our own Received: field.
TEST(Checks, SeeOurReceivedFieldAndMayRemoveIt) {
    Desk desk;
    desk.options.header_checks = desk.tables("header_checks", "regexp:{{/^Received:/ IGNORE}}");
    const Cleaned cleaned = desk.clean(desk.sendmail("bob@x"), "Subject: x\n\n");
    EXPECT_THAT(cleaned.content, ::testing::StartsWith("Subject: x\n"));
    EXPECT_NE(cleaned.accepted(), nullptr);
}

TEST(Checks, AskTheTableOfTheFieldsClass) {
    Desk desk;
    desk.options.header_checks = desk.tables("header_checks", "regexp:{{/^[A-Z]:/ INFO p}}");
    desk.options.mime_header_checks =
        desk.tables("mime_header_checks", "regexp:{{/^[A-Z]:/ INFO m},{/^Content-T/ INFO c}}");
    desk.options.nested_header_checks =
        desk.tables("nested_header_checks", "regexp:{{/^[A-Z]:/ INFO n}}");
    desk.options.body_checks = desk.tables("body_checks", "regexp:{{/^[A-Z]:/ INFO b}}");
    const Cleaned cleaned = desk.clean(
        desk.sendmail("bob@x"),
        "A: 1\nContent-Type: multipart/mixed; boundary=bb\nMessage-Id: <1>\n\nB: 1\n--bb\nC: 1\n"
        "Content-Type: message/rfc822\n\nD: 1\n\nE: 1\n--bb--\nF: 1\n");
    std::string seen;
    for (const std::string& line : cleaned.log) {
        const std::size_t at = line.find("info: ");
        if (at == std::string::npos) continue;
        seen += line.substr(at + 6, line.find(':', at + 6) - at - 6) + "=" + line.back() + " ";
    }
    EXPECT_EQ(seen,
              "header A=p header Content-Type=c body B=b header C=m header Content-Type=c "
              "header D=n body E=b body F=b ");
}

TEST(Checks, DropAndReplaceBodyLines) {
    Desk desk;
    desk.options.body_checks = desk.tables(
        "body_checks", "regexp:{{/^drop/ IGNORE},{/^replace/ REPLACE redone},{/^add/ PREPEND +}}");
    const Cleaned cleaned =
        desk.clean(desk.sendmail("bob@x"), "\ndrop it\nreplace it\nadd it\nkeep it\n");
    EXPECT_THAT(cleaned.content, HasSubstr("\n\nredone\n+\nadd it\nkeep it\n"));
}

}  // namespace
}  // namespace postrider::message
