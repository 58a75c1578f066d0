#include "smtp/command_line.h"

#include <random>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "core/ascii.h"

namespace postrider::smtp {
namespace {

using namespace std::string_literals;

TEST(CommandLine, KnowsItsVerbsInAnyLetterCase) {
    struct Case {
        std::string_view line;
        Verb verb;
        std::string_view argument;
    };
    const std::vector<Case> cases = {
        {"EHLO desk.example", Verb::Ehlo, "desk.example"},
        {"ehlo [127.0.0.1]", Verb::Ehlo, "[127.0.0.1]"},
        {"helo\tx ", Verb::Helo, "x"},
        {"  MAIL   FROM:<a@b>  ", Verb::Mail, "FROM:<a@b>"},
        {"mail FROM:<a@b> size=339", Verb::Mail, "FROM:<a@b> size=339"},
        {"DATA", Verb::Data, ""},
        {"bdat 10 last", Verb::Bdat, "10 last"},
        {"MAILFROM:<a@b>", Verb::Unknown, ""},
        {"UNKNOWN", Verb::Unknown, ""},
        {"", Verb::Unknown, ""},
        {"GET / HTTP/1.1", Verb::Unknown, "/ HTTP/1.1"},
    };
    for (const Case& c : cases) {
        const CommandLine line = split_command(c.line);
        EXPECT_EQ(line.verb, c.verb) << c.line;
        EXPECT_EQ(line.argument, c.argument) << c.line;
    }
}

std::string mail_of(std::string_view argument, const PathRules& rules = {}) {
    const auto parsed = parse_mail(argument, rules);
    if (const auto* fault = std::get_if<Fault>(&parsed))
        return "fault " + std::to_string(static_cast<int>(fault->kind)) + fault->detail;
    const auto& command = std::get<MailCommand>(parsed);
    return "<" + mail::external(command.reverse_path) + ">";
}

std::string fault_of(Fault::Kind kind, const std::string& detail = "") {
    return "fault " + std::to_string(static_cast<int>(kind)) + detail;
}

TEST(ParseMail, TakesEveryFormThatProgramsUse) {
    const std::vector<std::pair<std::string, std::string>> cases = {
        {"FROM:<a@b.example>", "<a@b.example>"},
        {"from:<a@b.example>", "<a@b.example>"},
        {"FROM: <a@b.example>", "<a@b.example>"},
        {"FROM:a@b.example", "<a@b.example>"},
        {"FROM: a@b.example SIZE=10", "<a@b.example>"},
        {"FROM:<>", "<>"},
        {"FROM: <>", "<>"},
        {"FROM:<root>", "<root>"},
        {"FROM:<@x,@y:a@b.example>", "<a@b.example>"},
        {"FROM:<@[IPv6:::1]:a@b.example>", "<a@b.example>"},
        {"FROM:<\"a b\"@c.example>", "<\"a b\"@c.example>"},
        {"FROM:<\"a>b\"@c.example>", "<\"a>b\"@c.example>"},
        {"FROM:<\"a@b\"@c.example>", "<\"a@b\"@c.example>"},
        {"FROM:<\"a\\\"b\"@c.example>", "<\"a\\\"b\"@c.example>"},
        {"FROM:<a@[192.0.2.1]>", "<a@[192.0.2.1]>"},
        {"FROM:<a@[IPv6:::1]>", "<a@[IPv6:::1]>"},
        {"FROM:<jürgen@bücher.example>", "<jürgen@bücher.example>"},
        {"FROM:<user%x@b.example>", "<user%x@b.example>"},
        {"FROM:<site!user>", "<site!user>"},
        {"FROM:<|/bin/sh@b.example>", "<|/bin/sh@b.example>"},
        {"FROM:<-oQ/tmp@b.example>", "<-oQ/tmp@b.example>"},
        {"FROM:<a@b.example.>", "<a@b.example.>"},
    };
    for (const auto& [argument, expected] : cases)
        EXPECT_EQ(mail_of(argument), expected) << argument;
}

TEST(ParseMail, RefusesWhatIsNoPath) {
    const auto syntax = fault_of(Fault::Kind::Syntax);
    const auto address = fault_of(Fault::Kind::Address);
    const std::vector<std::pair<std::string, std::string>> cases = {
        {"", syntax},
        {"FROM", syntax},
        {"FROM:", syntax},
        {"FROM:  ", syntax},
        {"TO:<a@b>", syntax},
        {"FROM <a@b>", syntax},
        {"FROM:<a@b", address},
        {"FROM:<a@b>x", address},
        {"FROM:<\"a@b>", address},
        {"FROM:<@b>", address},
        {"FROM:<a\x01@b>", address},
        {"FROM:<a\0@b>"s, address},
        {"FROM:<a@b\r>", address},
        {"FROM:<a@b\xc0\xaf>", address},
        {"FROM:<a\xed\xa0\x80@b>", address},
        {"FROM:<a@b c>", address},
        {"FROM:<a@b<c>", address},
        {"FROM:<a@\"b\">", "<a@b>"},
        {"FROM:<" + std::string(65, 'a') + "@b>", address},
        {"FROM:<a@" + std::string(255, 'b') + ">", address},
        {"FROM:<" + std::string(65536, 'a') + ">", address},
    };
    for (const auto& [argument, expected] : cases)
        EXPECT_EQ(mail_of(argument), expected) << argument;
}

TEST(ParseMail, InsistsOnTheGrammarWhenStrict) {
    PathRules strict;
    strict.strict = true;

    EXPECT_EQ(mail_of("FROM:<a@b>", strict), "<a@b>");
    EXPECT_EQ(mail_of("FROM: <a@b>", strict), fault_of(Fault::Kind::Syntax));
    EXPECT_EQ(mail_of("FROM:a@b", strict), fault_of(Fault::Kind::Address));
}

TEST(ParseMail, ReadsTheParameters) {
    const auto parsed =
        parse_mail("FROM:<a@b> size=1234 BODY=8bitmime RET=hdrs ENVID=x+2By SMTPUTF8");

    const auto& command = std::get<MailCommand>(parsed);
    EXPECT_EQ(command.size, 1234u);
    EXPECT_EQ(command.body, mail::BodyType::EightBitMime);
    EXPECT_EQ(command.dsn_return, mail::DsnReturn::Headers);
    EXPECT_EQ(command.envelope_id, "x+y");
    EXPECT_TRUE(command.smtputf8);
    EXPECT_TRUE(command.uses_dsn);
}

TEST(ParseMail, RefusesBadParameters) {
    const std::vector<std::pair<std::string, std::string>> cases = {
        {"SIZE=", fault_of(Fault::Kind::Size)},
        {"SIZE=-1", fault_of(Fault::Kind::Size)},
        {"SIZE=1 SIZE=2", fault_of(Fault::Kind::Size)},
        {"SIZE=0x10", fault_of(Fault::Kind::Size)},
        {"SIZE=99999999999999999999", fault_of(Fault::Kind::SizeTooBig)},
        {"SIZE=9223372036854775808", fault_of(Fault::Kind::SizeTooBig)},
        {"SIZE", fault_of(Fault::Kind::Unsupported, "SIZE")},
        {"BODY=BINARYMIME", fault_of(Fault::Kind::Unsupported, "BODY=BINARYMIME")},
        {"RET=ALL", fault_of(Fault::Kind::Return)},
        {"RET=FULL RET=FULL", fault_of(Fault::Kind::Return)},
        {"ENVID=", fault_of(Fault::Kind::EnvelopeId)},
        {"ENVID=a+00b", fault_of(Fault::Kind::EnvelopeId)},
        {"ENVID=a+0D+0Ab", fault_of(Fault::Kind::EnvelopeId)},
        {"ENVID=a+FFb", fault_of(Fault::Kind::EnvelopeId)},
        {"ENVID=a+2", fault_of(Fault::Kind::EnvelopeId)},
        {"ENVID=" + std::string(101, 'a'), fault_of(Fault::Kind::EnvelopeId)},
        {"AUTH=<>", fault_of(Fault::Kind::Auth)},
        {"XVERP", fault_of(Fault::Kind::Unsupported, "XVERP")},
        {"junk", fault_of(Fault::Kind::Unsupported, "junk")},
    };
    for (const auto& [parameters, expected] : cases)
        EXPECT_EQ(mail_of("FROM:<a@b> " + parameters), expected) << parameters;
    EXPECT_EQ(mail_of("FROM:<a@b> SIZE=9223372036854775807"), "<a@b>");
}

std::string rcpt_fault(std::string_view argument) {
    const auto parsed = parse_rcpt(argument);
    const auto* fault = std::get_if<Fault>(&parsed);
    return fault == nullptr ? "none" : fault_of(fault->kind, fault->detail);
}

TEST(ParseRcpt, ReadsTheParameters) {
    const auto parsed = parse_rcpt("TO:<b@c> NOTIFY=success,DELAY ORCPT=rfc822;Bob+2Bx@c");

    const auto& command = std::get<RcptCommand>(parsed);
    EXPECT_EQ(mail::external(command.recipient.address), "b@c");
    EXPECT_EQ(command.recipient.original, command.recipient.address);
    EXPECT_TRUE(command.recipient.notify.success);
    EXPECT_TRUE(command.recipient.notify.delay);
    EXPECT_FALSE(command.recipient.notify.failure);
    EXPECT_EQ(command.recipient.original_recipient, "rfc822;Bob+x@c");
}

TEST(ParseRcpt, RefusesBadParametersAndNobody) {
    EXPECT_EQ(rcpt_fault("TO:<>"), fault_of(Fault::Kind::Address));
    EXPECT_EQ(rcpt_fault("TO:"), fault_of(Fault::Kind::Syntax));
    for (const std::string bad : {"NOTIFY=", "NOTIFY=never,success", "NOTIFY=often",
                                  "NOTIFY=delay,", "NOTIFY=delay NOTIFY=delay"})
        EXPECT_EQ(rcpt_fault("TO:<b@c> " + bad), fault_of(Fault::Kind::Notify)) << bad;
    for (const std::string bad : {"ORCPT=", "ORCPT=b@c", "ORCPT=;b@c", "ORCPT=rfc822;",
                                  "ORCPT=rfc822;a+00b", "ORCPT=rfc822;a+0Ab", "ORCPT=r c;b",
                                  "ORCPT=rfc822;a+zz", "ORCPT=rfc822;a ORCPT=rfc822;a"})
        EXPECT_NE(rcpt_fault("TO:<b@c> " + bad), "none") << bad;
    EXPECT_EQ(rcpt_fault("TO:<b@c> SIZE=1"), fault_of(Fault::Kind::Unsupported, "SIZE=1"));
}

TEST(ParseBdat, CountsIn63Bits) {
    EXPECT_EQ(parse_bdat("0")->size, 0u);
    EXPECT_FALSE(parse_bdat("10")->last);
    EXPECT_TRUE(parse_bdat("10 LAST")->last);
    EXPECT_TRUE(parse_bdat("10   last")->last);
    EXPECT_EQ(parse_bdat("9223372036854775807")->size, 9223372036854775807u);
    for (const std::string_view bad :
         {"", "LAST", "-1", "+1", "1x", "9223372036854775808", "10 LAST LAST", "10 FIRST",
          "99999999999999999999999999", "0x10"})
        EXPECT_FALSE(parse_bdat(bad)) << bad;
}

// Random bytes, mostly those that mean something: whatever is accepted prints and reads back as the
// same address, and holds nothing that could end a line.
TEST(ParseMail, AcceptsOnlyWhatItCanPrintAndReadAgain) {
    constexpr std::string_view alphabet("<>@\"\\:,. ab[]%!|/-=+;\t\r\n\x01\xc3\xbc\0", 29);
    std::mt19937 random(11);
    int accepted = 0;
    for (int round = 0; round < 200000; ++round) {
        std::string argument = "FROM:<";
        for (auto length = random() % 12; length > 0; --length)
            argument += alphabet[random() % alphabet.size()];
        if (random() % 4 != 0) argument += '>';
        const auto parsed = parse_mail(argument);
        const auto* command = std::get_if<MailCommand>(&parsed);
        if (command == nullptr) continue;
        ++accepted;
        const std::string shown = mail::external(command->reverse_path);
        for (const char c : shown) ASSERT_FALSE(is_ascii_control(c)) << argument;
        ASSERT_TRUE(is_utf8(shown));
        ASSERT_EQ(mail::parse_address(shown), command->reverse_path) << argument;
    }
    EXPECT_GT(accepted, 1000);
}

TEST(CommandLine, ReadsTheAddressOfVrfy) {
    const std::pair<const char*, const char*> good[] = {
        {"<ann@x.example>", "ann@x.example"},
        {"ann@x.example", "ann@x.example"},
        {"ann", "ann"},
        {"<ann@x.example> smtputf8", "ann@x.example"}};
    for (const auto& [argument, address] : good) {
        const auto parsed = parse_vrfy(argument);
        ASSERT_TRUE(parsed) << argument;
        EXPECT_EQ(mail::external(*parsed), address);
    }
    for (const char* bad : {"", "<>", "<a\r@x>", "a@x> SIZE=1", "a@b,c"})
        EXPECT_FALSE(parse_vrfy(bad)) << bad;
}

}  // namespace
}  // namespace postrider::smtp
