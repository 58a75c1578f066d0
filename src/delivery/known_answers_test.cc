#include "delivery/known_answers.h"

#include <gtest/gtest.h>

namespace postrider::delivery {
namespace {

smtp::Reply reply(int code, std::vector<std::string> lines) {
    return smtp::Reply(code, std::move(lines));
}

TEST(KnownAnswers, SeeQuotasBehindPermanentRefusals) {
    const smtp::Reply replies[] = {
        reply(550, {"5.4.5 Daily user sending limit exceeded. For more information on Gmail",
                    "5.4.5 sending limits go to",
                    "5.4.5  https://support.google.com/a/answer/166852 x - gsmtp"}),
        reply(550, {"5.7.1 Daily SMTP relay sending limit exceeded for customer. x - gsmtp"}),
        reply(550, {"5.7.1 Daily SMTP relay", "5.7.1 sending limit exceeded for this user."}),
        reply(550, {"5.7.1 Email quota exceeded."}),
        reply(421, {"4.7.0 Try again later, closing connection. (MAIL) x - gsmtp"}),
        reply(454, {"4.7.0 Too many login attempts, please try again later. x - gsmtp"}),
        reply(530, {"5.7.0 Authentication Required. x - gsmtp"}),
        reply(534, {"5.7.9 Application-specific password required."}),
        reply(535, {"5.7.8 Username and Password not accepted."}),
        reply(538, {"Encryption required for requested authentication mechanism"}),
        reply(550, {"5.7.30 Basic authentication is not supported for Client Submission."}),
        reply(432, {"4.3.2 STOREDRV.ClientSubmit; sender thread limit exceeded"}),
        reply(554, {"5.2.0 STOREDRV.Submission.Exception:OutboundSpamException; Failed"}),
        reply(454, {"Throttling failure: Maximum sending rate exceeded."}),
    };
    for (const smtp::Reply& answer : replies) {
        EXPECT_NE(find_account_trouble(answer), nullptr) << smtp::log_text(answer);
    }
}

TEST(KnownAnswers, LeaveToTheMessageWhatIsTheMessages) {
    const smtp::Reply replies[] = {
        reply(550, {"5.1.1 The email account that you tried to reach does not exist."}),
        reply(550, {"5.7.1 Message contains content that is not allowed"}),
        reply(552, {"5.7.0 This message was blocked because its content presents a potential",
                    "5.7.0 security issue. x - gsmtp"}),
        reply(552, {"5.2.2 The email account that you tried to reach is over quota."}),
        reply(452, {"4.2.2 The recipient's inbox is out of storage space."}),
        reply(450, {"4.2.1 The user you are trying to contact is receiving mail too quickly."}),
        reply(452, {"4.5.3 Error: too many recipients"}),
        reply(554, {"5.2.252 SendAsDenied; you may not send as this sender"}),
        reply(552, {"5.3.4 Your message exceeded Google's message size limits."}),
        reply(550, {"5.7.1 <a@b>: corporate policy"}),
    };
    for (const smtp::Reply& answer : replies) {
        EXPECT_EQ(find_account_trouble(answer), nullptr) << smtp::log_text(answer);
    }
}

TEST(KnownAnswers, EachSayWhereTheyAreFrom) {
    for (const KnownAnswer& row : known_answers()) {
        EXPECT_FALSE(row.source.empty());
        EXPECT_TRUE(row.code != 0 || !row.status.empty() || !row.phrase.empty());
    }
}

}  // namespace
}  // namespace postrider::delivery
