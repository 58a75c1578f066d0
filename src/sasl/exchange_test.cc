#include "sasl/exchange.h"

#include <gtest/gtest.h>

#include "core/base64.h"
#include "sasl/bearer.h"
#include "sasl/hashed.h"
#include "sasl/plain.h"

namespace postrider::sasl {

namespace {

using Kind = Exchange::Step::Kind;

Credentials ann(std::size_t password_size = 6) {
    Credentials credentials;
    credentials.user = "ann";
    credentials.password = Secret(std::string(password_size, 'p'));
    return credentials;
}

Exchange scram() {
    return Exchange(std::move(make_scram_sha1(ann())).value());
}

}  // namespace

TEST(Exchange, PlainFitsInOneLine) {
    Exchange exchange(make_plain(ann()));
    EXPECT_EQ(exchange.begin()->reveal(), "AUTH PLAIN AGFubgBwcHBwcHA=\r\n");
    auto step = exchange.next(235, "2.7.0 Accepted");
    ASSERT_TRUE(step);
    EXPECT_EQ(step->kind, Kind::Succeeded);
}

TEST(Exchange, HoldsTheResponseBackWhenTheLineWouldBeTooLong) {
    // 5 + 5 + 1 + base64 + 2 must be at most 512: 496 characters, 372 bytes, 367 of password.
    Exchange fits(make_plain(ann(367)));
    EXPECT_EQ(fits.begin()->size(), 509U);

    Exchange exchange(make_plain(ann(370)));
    EXPECT_EQ(exchange.begin()->reveal(), "AUTH PLAIN\r\n");
    auto step = exchange.next(334, "go on");
    ASSERT_TRUE(step);
    EXPECT_EQ(step->kind, Kind::Continue);
    EXPECT_EQ(step->line.reveal(),
              base64(std::string("\0ann\0", 5) + std::string(370, 'p')) + "\r\n");
    EXPECT_EQ(exchange.next(235, "")->kind, Kind::Succeeded);
}

TEST(Exchange, LoginIsADialogue) {
    Exchange exchange(make_login(ann()));
    EXPECT_EQ(exchange.begin()->reveal(), "AUTH LOGIN\r\n");
    EXPECT_EQ(exchange.next(334, "VXNlcm5hbWU6")->line.reveal(), "YW5u\r\n");
    EXPECT_EQ(exchange.next(334, "UGFzc3dvcmQ6")->line.reveal(), "cHBwcHBw\r\n");
    EXPECT_EQ(exchange.next(535, "5.7.8 no")->kind, Kind::Refused);
}

TEST(Exchange, AnEmptyAnswerIsAnEmptyLine) {
    Exchange exchange(make_xoauth2(ann()));
    ASSERT_TRUE(exchange.begin());
    EXPECT_EQ(exchange.next(334, base64("{\"status\":\"401\"}"))->line.reveal(), "\r\n");
    EXPECT_EQ(exchange.next(535, "")->kind, Kind::Refused);
}

TEST(Exchange, SuccessThatComesTooEarlyIsNotBelieved) {
    auto before_proof = scram();
    ASSERT_TRUE(before_proof.begin());
    EXPECT_FALSE(before_proof.next(235, ""));

    Exchange login(make_login(ann()));
    ASSERT_TRUE(login.begin());
    EXPECT_FALSE(login.next(235, ""));

    Exchange held_back(make_plain(ann(400)));
    ASSERT_TRUE(held_back.begin());
    auto step = held_back.next(235, "");
    ASSERT_FALSE(step);
    EXPECT_EQ(step.error().code, ErrorCode::Protocol);
}

TEST(Exchange, ChallengesThatAreNoneAreErrors) {
    for (const std::string& text :
         {std::string("!!!"), std::string("YW5"), std::string("a b="), std::string(20000, 'A')}) {
        Exchange exchange(make_login(ann()));
        ASSERT_TRUE(exchange.begin());
        EXPECT_FALSE(exchange.next(334, text));
    }
}

TEST(Exchange, EndlessChallengesEnd) {
    class Patient final : public Mechanism {
    public:
        std::string_view name() const override { return "PATIENT"; }
        Result<std::optional<Secret>> initial_response() override {
            return std::optional<Secret>();
        }
        Result<Secret> respond(std::string_view) override { return Secret("x"); }
        bool is_complete() const override { return false; }
    };
    Exchange exchange(std::make_unique<Patient>());
    ASSERT_TRUE(exchange.begin());
    for (int i = 0; i < 10; ++i) ASSERT_TRUE(exchange.next(334, ""));
    EXPECT_FALSE(exchange.next(334, ""));
}

TEST(Exchange, OtherRepliesAreErrors) {
    for (const int code : {0, 100, 300, 354}) {
        Exchange exchange(make_plain(ann()));
        ASSERT_TRUE(exchange.begin());
        EXPECT_FALSE(exchange.next(code, ""));
    }
    Exchange exchange(make_plain(ann()));
    ASSERT_TRUE(exchange.begin());
    EXPECT_EQ(exchange.next(421, "")->kind, Kind::Refused);
}

}  // namespace postrider::sasl
