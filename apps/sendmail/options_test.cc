#include "options.h"

#include <gtest/gtest.h>

namespace postrider::apps {
namespace {

using Mode = SendmailOptions::Mode;
using Words = std::vector<std::string>;

TEST(SendmailOptions, TakeEveryFormThatProgramsUse) {
    struct Case {
        Words words;
        Words recipients;
        std::string sender;
        bool extract;
        bool dot_is_data;
    };
    const std::vector<Case> cases = {
        {{"-bs", "-odb", "-oem"}, {}, "-", false, false},
        {{"-oem", "-oi", "--", "a@x", "b@y"}, {"a@x", "b@y"}, "-", false, true},
        {{"-oem", "-oi", "-f", "f@x", "--", "a@x"}, {"a@x"}, "f@x", false, true},
        {{"-i", "-t"}, {}, "-", true, true},
        {{"-oi", "-f", "u@h", "-t"}, {}, "u@h", true, true},
        {{"-FCronDaemon", "-i", "-B8BITMIME", "-oem", "a@x,b@y"}, {"a@x,b@y"}, "-", false, true},
        {{"-FAnacron", "-odi", "root"}, {"root"}, "-", false, false},
        {{"-t", "-i", "-fuser@host"}, {}, "user@host", true, true},
        {{"-vt"}, {}, "-", true, false},
        {{"-tif", "a@x"}, {}, "a@x", true, true},
        {{"-vtr", "a@x"}, {}, "a@x", true, false},
        {{"-i", "-f", "<>", "--", "-strange@x"}, {"-strange@x"}, "<>", false, true},
        {{"-f", "", "a@x"}, {"a@x"}, "", false, false},
        {{"a@x", "-t"}, {"a@x", "-t"}, "-", false, false},
        {{"-N", "failure,delay", "-R", "hdrs", "-V", "id1", "a@x"}, {"a@x"}, "-", false, false},
        {{"-O", "QueueDirectory=/tmp", "-ODeliveryMode=b", "-L", "tag", "-h", "3", "-p", "x", "-m",
          "-om", "-e", "m", "-U", "-G", "a@x"},
         {"a@x"},
         "-",
         false,
         false},
    };
    for (const Case& c : cases) {
        const auto options = parse_options("/usr/sbin/sendmail", c.words);
        ASSERT_TRUE(options) << testing::PrintToString(c.words) << options.error().message;
        const auto& request = (*options).request;
        EXPECT_EQ(request.recipients, c.recipients) << testing::PrintToString(c.words);
        EXPECT_EQ(request.sender.value_or("-"), c.sender) << testing::PrintToString(c.words);
        EXPECT_EQ(request.extract_recipients, c.extract) << testing::PrintToString(c.words);
        EXPECT_EQ(request.dot_is_data, c.dot_is_data) << testing::PrintToString(c.words);
        EXPECT_TRUE((*options).warnings.empty());
    }
}

TEST(SendmailOptions, ChooseTheMode) {
    struct Case {
        std::string name;
        Words words;
        Mode mode;
        std::string argument;
    };
    const std::vector<Case> cases = {
        {"sendmail", {}, Mode::Submit, ""},
        {"/usr/bin/mailq", {}, Mode::ListQueue, ""},
        {"newaliases", {}, Mode::NewAliases, ""},
        {"smtpd", {}, Mode::Daemon, ""},
        {"mailq", {"-bm"}, Mode::Submit, ""},
        {"sendmail", {"-bp"}, Mode::ListQueue, ""},
        {"sendmail", {"-bs"}, Mode::StandAlone, ""},
        {"sendmail", {"-bi"}, Mode::NewAliases, ""},
        {"sendmail", {"-I"}, Mode::NewAliases, ""},
        {"sendmail", {"-bd"}, Mode::Daemon, ""},
        {"sendmail", {"-bd", "-q30m"}, Mode::Daemon, ""},
        {"sendmail", {"-bh"}, Mode::Nothing, ""},
        {"sendmail", {"-q"}, Mode::Flush, ""},
        {"sendmail", {"-q", "-v"}, Mode::Flush, ""},
        {"sendmail", {"-q15m"}, Mode::Nothing, ""},
        {"sendmail", {"-qIABC123"}, Mode::FlushId, "ABC123"},
        {"sendmail", {"-qRcorp.example"}, Mode::FlushSite, "corp.example"},
    };
    for (const Case& c : cases) {
        const auto options = parse_options(c.name, c.words);
        ASSERT_TRUE(options) << c.name << testing::PrintToString(c.words);
        EXPECT_EQ((*options).mode, c.mode) << c.name << testing::PrintToString(c.words);
        EXPECT_EQ((*options).argument, c.argument);
    }
}

TEST(SendmailOptions, RefuseWhatPostfixRefuses) {
    const std::vector<std::pair<Words, std::string>> cases = {
        {{"-Z"}, "usage: sendmail [options]"},
        {{"-f"}, "usage: sendmail [options]"},
        {{"-n"}, "-n option not supported"},
        {{"-X/tmp/log"}, "unsupported: -X/tmp/log"},
        {{"-X", ""}, "unsupported: -X"},
        {{"-b", ""}, "unsupported: -b"},
        {{"-bz"}, "unsupported: -bz"},
        {{"-B", "9BIT"}, "-B option needs 8BITMIME or 7BIT"},
        {{"-qSx"}, "-qS is not implemented"},
        {{"-bs", "-t"}, "-t can be used only in delivery mode"},
        {{"-bs", "a@x"}, "stand-alone mode requires no recipient"},
        {{"-bp", "a@x"}, "display queue mode requires no recipient"},
        {{"-q", "a@x"}, "flush queue mode requires no recipient"},
        {{"-qRx", "a@x"}, "flush site requires no recipient"},
        {{"-bd", "a@x"}, "daemon mode requires no recipient"},
        {{"-bi", "a@x"}, "alias initialization mode requires no recipient"},
    };
    for (const auto& [words, text] : cases) {
        const auto options = parse_options("sendmail", words);
        ASSERT_FALSE(options) << testing::PrintToString(words);
        EXPECT_EQ(options.error().message, text);
    }
}

TEST(SendmailOptions, WarnAboutWhatTheyIgnore) {
    EXPECT_EQ((*parse_options("sendmail", {"-N", "often", "a"})).warnings,
              (Words{"unknown DSN NOTIFY command value \"often\" in \"often\"",
                     "bad -N option value: 'often' -- ignored"}));
    EXPECT_EQ((*parse_options("sendmail", {"-R", "all", "a"})).warnings,
              Words{"bad -R option value -- ignored"});
    EXPECT_EQ((*parse_options("sendmail", {"-V", std::string(101, 'x'), "a"})).warnings,
              Words{"too long -V option value -- ignored"});
}

}  // namespace
}  // namespace postrider::apps
