#include "smtp/commands.h"

#include <random>

#include <gtest/gtest.h>

#include "core/ascii.h"

namespace postrider::smtp {

namespace {

Capabilities everything() {
    Capabilities server;
    server.esmtp = server.eight_bit_mime = server.pipelining = server.dsn = true;
    server.smtputf8 = server.size = server.auth = true;
    return server;
}

mail::Envelope from(mail::Address address) {
    mail::Envelope envelope;
    envelope.reverse_path = std::move(address);
    return envelope;
}

}  // namespace

TEST(Commands, GreetWithAName) {
    EXPECT_EQ(*ehlo_command("desk.example"), "EHLO desk.example\r\n");
    EXPECT_EQ(*helo_command("[192.0.2.1]"), "HELO [192.0.2.1]\r\n");
    EXPECT_FALSE(ehlo_command(""));
    EXPECT_FALSE(ehlo_command("a b"));
    EXPECT_FALSE(ehlo_command("a\r\nQUIT"));
}

TEST(Commands, MailSaysOnlyWhatTheServerOffers) {
    auto envelope = from({"ann", "desk.example"});
    envelope.body = mail::BodyType::EightBitMime;
    envelope.envelope_id = "QQ 314";
    envelope.dsn_return = mail::DsnReturn::Headers;
    MailOptions options;
    options.size = 155;
    options.smtputf8 = true;
    options.auth_null = true;

    EXPECT_EQ(
        *mail_command(envelope, everything(), options),
        "MAIL FROM:<ann@desk.example> SIZE=155 BODY=8BITMIME ENVID=QQ+20314 RET=HDRS SMTPUTF8 "
        "AUTH=<>\r\n");
    EXPECT_EQ(*mail_command(envelope, Capabilities(), options), "MAIL FROM:<ann@desk.example>\r\n");
}

TEST(Commands, MailSaysOnlyWhatTheEnvelopeHas) {
    EXPECT_EQ(*mail_command(from({}), everything(), {}), "MAIL FROM:<>\r\n");
    auto envelope = from({"a b", "x.example"});
    envelope.body = mail::BodyType::SevenBit;
    envelope.dsn_return = mail::DsnReturn::Full;
    EXPECT_EQ(*mail_command(envelope, everything(), {}),
              "MAIL FROM:<\"a b\"@x.example> BODY=7BIT RET=FULL\r\n");
}

TEST(Commands, RcptCarriesTheOriginalRecipient) {
    mail::Recipient recipient({"bob", "corp.example"});
    EXPECT_EQ(*rcpt_command(recipient, Capabilities()), "RCPT TO:<bob@corp.example>\r\n");
    EXPECT_EQ(*rcpt_command(recipient, everything()),
              "RCPT TO:<bob@corp.example> ORCPT=rfc822;bob@corp.example\r\n");

    recipient.original = mail::Address("root", "");
    recipient.notify.success = recipient.notify.delay = true;
    EXPECT_EQ(*rcpt_command(recipient, everything()),
              "RCPT TO:<bob@corp.example> ORCPT=rfc822;root NOTIFY=SUCCESS,DELAY\r\n");

    recipient.original_recipient = "rfc822;a+b=c@x.example";
    recipient.notify = {};
    recipient.notify.never = true;
    EXPECT_EQ(*rcpt_command(recipient, everything()),
              "RCPT TO:<bob@corp.example> ORCPT=rfc822;a+2Bb+3Dc@x.example NOTIFY=NEVER\r\n");
}

TEST(Commands, OriginalRecipientBeyondAsciiNeedsSmtputf8) {
    mail::Recipient recipient({"bob", "corp.example"});
    recipient.original = mail::Address("jos\xc3\xa9", "x.example");
    EXPECT_EQ(*rcpt_command(recipient, everything()),
              "RCPT TO:<bob@corp.example> ORCPT=utf-8;jos\xc3\xa9@x.example\r\n");
    for (const std::string type : {"utf-8", "UTF-8", "rfc822"}) {
        recipient.original_recipient = type + ";jos\xc3\xa9@x.example";
        const std::string said = type == "rfc822" ? "utf-8" : type;
        EXPECT_EQ(*rcpt_command(recipient, everything()),
                  "RCPT TO:<bob@corp.example> ORCPT=" + said + ";jos\xc3\xa9@x.example\r\n");
    }
    auto server = everything();
    server.smtputf8 = false;
    EXPECT_EQ(*rcpt_command(recipient, server), "RCPT TO:<bob@corp.example>\r\n");
}

TEST(Commands, RefuseWhatWouldBreakTheLine) {
    for (const auto& bad :
         {mail::Address("a\r\nDATA", "x"), mail::Address("a", "x\n"),
          mail::Address(std::string("a\0b", 3), "x"), mail::Address("a", "x> BODY=x"),
          mail::Address("a", "x y"), mail::Address("a\x7f", "x")}) {
        EXPECT_FALSE(mail_command(from(bad), everything(), {}));
        EXPECT_FALSE(rcpt_command(mail::Recipient(bad), everything()));
    }
    EXPECT_FALSE(rcpt_command(mail::Recipient(mail::Address()), everything()));
}

TEST(Commands, AreOneLineWhateverTheEnvelopeHolds) {
    std::mt19937 random(3);
    const auto noise = [&] {
        std::string text(random() % 8, '\0');
        for (char& c : text) c = static_cast<char>(random() % 3 == 0 ? random() % 34 : random());
        return text;
    };
    for (int round = 0; round < 5000; ++round) {
        auto envelope = from({noise(), noise()});
        envelope.envelope_id = noise();
        mail::Recipient recipient({"b" + noise(), noise()});
        recipient.original_recipient = noise() + ";" + noise();
        for (auto line :
             {mail_command(envelope, everything(), {}), rcpt_command(recipient, everything())}) {
            if (!line) continue;
            ASSERT_TRUE(line->ends_with("\r\n"));
            for (const char c : line->substr(0, line->size() - 2))
                ASSERT_FALSE(is_ascii_control(c));
        }
    }
}

TEST(Commands, BdatCountsItsChunk) {
    EXPECT_EQ(bdat_command(1000, false), "BDAT 1000\r\n");
    EXPECT_EQ(bdat_command(0, true), "BDAT 0 LAST\r\n");
}

TEST(Xtext, EncodesWhatItMustAndDecodesIt) {
    EXPECT_EQ(xtext("a+b=c d\r\n\xff~"), "a+2Bb+3Dc+20d+0D+0A+FF~");
    EXPECT_EQ(decode_xtext("a+2Bb+3Dc+20d+0D+0A+FF~"), "a+b=c d\r\n\xff~");
    EXPECT_EQ(decode_xtext("+2b"), "+");
    for (const std::string_view bad : {"+", "+2", "+G0", "a b", "a=b", "\xc3", "a\n"})
        EXPECT_FALSE(decode_xtext(bad)) << bad;
}

TEST(Unitext, EncodesWhatItMustAndDecodesIt) {
    EXPECT_EQ(unitext("j\xc3\xb6+a=b\\c d"), "j\xc3\xb6\\x{2B}a\\x{3D}b\\x{5C}c\\x{20}d");
    EXPECT_EQ(decode_unitext("j\\x{F6}rg\\x{2b}\\x{1F600}\\x{20AC}@x"),
              "j\xc3\xb6rg+\xf0\x9f\x98\x80\xe2\x82\xac@x");
    for (const char* bad : {"\\", "\\x{", "\\x{}", "\\x{g}", "\\x{110000}", "\\x{D800}", "\\y{41}"})
        EXPECT_FALSE(decode_unitext(bad)) << bad;
}

}  // namespace postrider::smtp
