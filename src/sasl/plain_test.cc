#include "sasl/plain.h"

#include <gtest/gtest.h>

namespace postrider::sasl {

namespace {

Credentials ann() {
    Credentials credentials;
    credentials.user = "ann@desk.example";
    credentials.password = Secret("pa ss");
    return credentials;
}

}  // namespace

TEST(Plain, SaysAllAtOnce) {
    auto plain = make_plain(ann());
    auto initial = plain->initial_response();
    ASSERT_TRUE(initial && *initial);
    EXPECT_EQ((*initial)->reveal(), std::string_view("\0ann@desk.example\0pa ss", 23));
    EXPECT_TRUE(plain->is_complete());
    EXPECT_FALSE(plain->respond(""));
}

TEST(Login, AnswersTwoChallengesAndNoMore) {
    auto login = make_login(ann());
    EXPECT_FALSE(login->initial_response()->has_value());
    EXPECT_EQ(login->respond("Username:")->reveal(), "ann@desk.example");
    EXPECT_FALSE(login->is_complete());
    EXPECT_EQ(login->respond("anything")->reveal(), "pa ss");
    EXPECT_TRUE(login->is_complete());
    EXPECT_FALSE(login->respond("Username:"));
    EXPECT_FALSE(login->is_complete());
}

}  // namespace postrider::sasl
