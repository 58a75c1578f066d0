#include "delivery/known_answers.h"

#include <optional>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "delivery/classify.h"

namespace postrider::delivery {
namespace {

using Meaning = KnownAnswer::Meaning;
using testing::HasSubstr;

smtp::Reply reply(int code, std::vector<std::string> lines) {
    return smtp::Reply(code, std::move(lines));
}

struct Case {
    Stage stage;
    smtp::Reply answer;
    std::optional<Meaning> meaning;
};

// U11
TEST(KnownAnswers, MeanWhatProvidersMean) {
    const KnownAnswers answers;
    const Case cases[] = {
        // Gmail, smtp.gmail.com and smtp-relay.gmail.com.
        {Stage::Mail,
         reply(550, {"5.4.5 Daily user sending limit exceeded. For more information on Gmail",
                     "5.4.5 sending limits go to",
                     "5.4.5  https://support.google.com/a/answer/166852 x - gsmtp"}),
         Meaning::Quota},
        {Stage::Rcpt,
         reply(550, {"5.7.1 Daily SMTP relay", "5.7.1 sending limit exceeded for this customer."}),
         Meaning::Quota},
        {Stage::Mail, reply(550, {"5.4.5 Daily SMTP relay limit exceeded for user."}),
         Meaning::Quota},
        {Stage::Mail, reply(450, {"4.2.1 Peak SMTP relay limit exceeded for this customer."}),
         Meaning::Destination},
        {Stage::Mail,
         reply(550, {"5.7.0 Email relay denied 192.0.2.1. The sending email account has been",
                     "5.7.0 temporarily suspended due to abuse."}),
         Meaning::Quota},
        {Stage::EndOfData, reply(550, {"5.7.1 This email has been rate limited."}), Meaning::Quota},
        {Stage::Mail, reply(421, {"4.7.0 Try again later, closing connection. (MAIL) x - gsmtp"}),
         Meaning::Destination},
        {Stage::EndOfData, reply(421, {"4.7.28 Gmail has detected an unusual rate of mail"}),
         Meaning::Destination},
        {Stage::Auth, reply(454, {"4.7.0 Too many login attempts, please try again later."}),
         Meaning::Login},
        {Stage::Mail, reply(530, {"5.7.0 Authentication Required. x - gsmtp"}), Meaning::Login},
        {Stage::Auth, reply(534, {"5.7.9 Application-specific password required."}),
         Meaning::Login},
        {Stage::Auth, reply(535, {"5.7.8 Username and Password not accepted."}), Meaning::Login},
        // Microsoft 365.
        {Stage::Auth, reply(550, {"5.7.30 Basic authentication is not supported."}),
         Meaning::Login},
        {Stage::EndOfData,
         reply(432, {"4.3.2 STOREDRV.ClientSubmit; sender thread limit exceeded"}),
         Meaning::Destination},
        {Stage::EndOfData,
         reply(554, {"5.2.0 STOREDRV.Submission.Exception:SubmissionQuotaExceededException"}),
         Meaning::Quota},
        {Stage::EndOfData,
         reply(554, {"5.2.2 mailbox full; STOREDRV.Submission.Exception:",
                     "5.2.2 QuotaExceededException.MapiExceptionShutoffQuotaExceeded"}),
         Meaning::Quota},
        {Stage::EndOfData,
         reply(554, {"5.2.0 STOREDRV.Submission.Exception:OutboundSpamException; Failed"}),
         Meaning::Quota},
        {Stage::Rcpt, reply(550, {"5.7.502 Access denied, banned sender"}), Meaning::Quota},
        // Others.
        {Stage::EndOfData, reply(454, {"Throttling failure: Maximum sending rate exceeded."}),
         Meaning::Destination},
        {Stage::EndOfData, reply(454, {"Throttling failure: Daily message quota exceeded"}),
         Meaning::Quota},
        {Stage::Auth, reply(451, {"Authentication failed: Maximum credits exceeded"}),
         Meaning::Quota},
        {Stage::Rcpt,
         reply(450, {"Requested mail action not taken: mailbox unavailable",
                     "Mail send limit exceeded."}),
         Meaning::Quota},
        {Stage::EndOfData, reply(550, {"5.4.6 Unusual sending activity detected."}),
         Meaning::Quota},
        {Stage::Rcpt, reply(550, {"Domain example.com has exceeded the max emails per hour (9/8)"}),
         Meaning::Quota},
        // Any server.
        {Stage::Auth, reply(538, {"Encryption required"}), Meaning::Login},
        {Stage::Mail, reply(552, {"5.2.2 The account is over quota."}), Meaning::Quota},
        {Stage::Mail, reply(550, {"This account has been suspended"}), Meaning::Quota},
        // What the message or the recipient is to blame for.
        {Stage::Rcpt, reply(552, {"5.2.2 The email account is over quota."}), std::nullopt},
        {Stage::Rcpt, reply(550, {"5.1.1 The email account does not exist."}), std::nullopt},
        {Stage::Rcpt, reply(550, {"5.2.1 This account has been suspended"}), std::nullopt},
        {Stage::Rcpt, reply(550, {"5.7.1 RESOLVER.RST.AuthRequired; authentication required"}),
         std::nullopt},
        {Stage::EndOfData, reply(432, {"4.3.2 STOREDRV.Deliver; recipient thread limit exceeded"}),
         std::nullopt},
        {Stage::EndOfData,
         reply(550, {"5.7.30 This message was blocked because it didn't pass DKIM",
                     "5.7.30 authentication."}),
         std::nullopt},
        {Stage::EndOfData, reply(554, {"5.4.6 Message exceeded 50 hops"}), std::nullopt},
        {Stage::EndOfData, reply(550, {"5.7.1 Message contains content that is not allowed"}),
         std::nullopt},
        {Stage::Rcpt, reply(452, {"4.2.2 The recipient's inbox is out of storage space."}),
         std::nullopt},
        {Stage::Rcpt, reply(452, {"4.5.3 Error: too many recipients"}), std::nullopt},
        {Stage::EndOfData, reply(554, {"5.2.252 SendAsDenied"}), std::nullopt},
        {Stage::EndOfData, reply(552, {"5.3.4 Your message exceeded Google's size limits."}),
         std::nullopt},
    };
    for (const Case& each : cases) {
        const KnownAnswer* found = answers.find(each.stage, each.answer);
        SCOPED_TRACE(smtp::log_text(each.answer));
        ASSERT_EQ(found != nullptr, each.meaning.has_value());
        if (found != nullptr) {
            EXPECT_EQ(found->meaning, *each.meaning);
        }
    }
}

// A provider's row says more than the one for any server, which therefore comes last.
TEST(KnownAnswers, AdviseWhatHelpsWithThisProvider) {
    const KnownAnswers answers;
    const std::pair<smtp::Reply, const char*> cases[] = {
        {reply(534, {"5.7.9 Application-specific password required."}), "apppasswords"},
        {reply(534, {"5.7.14 Please log in through your web browser"}), "provider's web page"},
        {reply(535, {"5.7.8 Username and Password not accepted."}), "apppasswords"},
        {reply(535, {"5.7.139 Authentication unsuccessful"}), "aka.ms/smtp_auth_disabled"},
        {reply(535, {"5.7.0 (#AUTH005) Too many bad auth attempts."}), "app password"},
        {reply(535, {"5.7.8 authentication failed"}), "check user and password"},
        {reply(530, {"5.7.0 Must issue a STARTTLS command first."}), "smtp_tls_security_level"},
        {reply(530, {"5.7.1 Client was not authenticated"}), "smtp_sasl_auth_enable"},
    };
    for (const auto& [answer, advice] : cases) {
        const KnownAnswer* found = answers.find(Stage::Auth, answer);
        ASSERT_NE(found, nullptr) << smtp::log_text(answer);
        EXPECT_EQ(found->meaning, Meaning::Login);
        EXPECT_THAT(found->advice, HasSubstr(advice));
    }
}

TEST(KnownAnswers, AnOperatorsRowsComeFirst) {
    const auto answers = KnownAnswers::parse(
        "mine", "# ours\n\nany 550 5.4.5 as-it-says //\nrcpt 5xx * defer /GREYLIST/ wait a bit\n");
    ASSERT_TRUE(answers) << answers.error().message;
    EXPECT_EQ(answers->find(Stage::Mail, reply(550, {"5.4.5 x"}))->meaning, Meaning::AsItSays);
    const KnownAnswer* greylist = answers->find(Stage::Rcpt, reply(554, {"greylisted"}));
    ASSERT_NE(greylist, nullptr);
    EXPECT_EQ(greylist->advice, "wait a bit");
    EXPECT_EQ(answers->find(Stage::Mail, reply(554, {"greylisted"})), nullptr);
    EXPECT_EQ(answers->find(Stage::Auth, reply(535, {"no"}))->meaning, Meaning::Login);
}

TEST(KnownAnswers, ErrorsNameTheLine) {
    const std::pair<const char*, const char*> cases[] = {
        {"any 550 * quota //\nwhere 550 * quota //\n", "f, line 2: \"where\" is no stage"},
        {"any 55 * quota //", "\"55\" is no reply code"},
        {"any 550 5.4 quota //", "\"5.4\" is no enhanced status"},
        {"any 550 * bounce //", "\"bounce\" is no meaning"},
        {"any 550 * quota", "expected /words/"},
        {"any 550 * quota /open", "expected /words/"},
        {"any", "is no reply code"},
    };
    for (const auto& [text, message] : cases) {
        const auto answers = KnownAnswers::parse("f", text);
        ASSERT_FALSE(answers) << text;
        EXPECT_THAT(answers.error().message, HasSubstr(message));
    }
}

// Whatever the file says.
TEST(KnownAnswers, NothingBouncesAtAuth) {
    for (const char* meaning : {"login", "quota", "destination", "defer", "as-it-says"}) {
        const auto answers =
            KnownAnswers::parse("f", std::string("any xxx * ") + meaning + " // do\n");
        ASSERT_TRUE(answers);
        for (int code = 400; code < 600; ++code) {
            const Verdict verdict =
                classify(Stage::Auth, reply(code, {"5.7.8 no"}), Peer(), &*answers);
            ASSERT_EQ(verdict.disposition.kind, mail::Disposition::Kind::Deferred) << code;
            ASSERT_GE(verdict.reach, Reach::Destination);
        }
    }
}

TEST(KnownAnswers, AreEachBelowACommentThatSaysWhereTheyAreFrom) {
    const std::string_view text = KnownAnswers::built_in();
    EXPECT_GT(KnownAnswers().rows().size(), 30U);
    bool sourced = false;
    std::size_t at = 0;
    while (at < text.size()) {
        const std::size_t end = std::min(text.find('\n', at), text.size());
        const std::string_view line = text.substr(at, end - at);
        at = end + 1;
        if (line.empty()) sourced = false;
        if (line.starts_with("# ")) sourced = true;
        if (!line.empty() && line.front() != '#') {
            EXPECT_TRUE(sourced) << line;
        }
    }
}

}  // namespace
}  // namespace postrider::delivery
