#include "sasl/bearer.h"

#include <gtest/gtest.h>

namespace postrider::sasl {

namespace {

Credentials ann() {
    Credentials credentials;
    credentials.user = "ann=x@desk.example";
    credentials.password = Secret("ya29.token");
    credentials.host = "smtp.example.net";
    credentials.port = 465;
    return credentials;
}

}  // namespace

TEST(Bearer, Xoauth2HasTheFormOfItsSpecification) {
    auto mechanism = make_xoauth2(ann());
    EXPECT_EQ((*mechanism->initial_response())->reveal(),
              "user=ann=x@desk.example\x01"
              "auth=Bearer ya29.token\x01\x01");
    EXPECT_TRUE(mechanism->is_complete());
}

TEST(Bearer, OauthbearerHasTheFormOfTheRfc) {
    auto mechanism = make_oauthbearer(ann());
    EXPECT_EQ((*mechanism->initial_response())->reveal(),
              "n,a=ann=3Dx@desk.example,\x01host=smtp.example.net\x01port=465\x01"
              "auth=Bearer ya29.token\x01\x01");
}

TEST(Bearer, AcknowledgesARefusalOnce) {
    struct Row {
        std::unique_ptr<Mechanism> mechanism;
        std::string_view answer;
    };
    Row rows[] = {{make_xoauth2(ann()), ""}, {make_oauthbearer(ann()), "\x01"}};
    for (const Row& row : rows) {
        ASSERT_TRUE(row.mechanism->initial_response());
        EXPECT_EQ(row.mechanism->respond("{\"status\":\"400\"}")->reveal(), row.answer);
        EXPECT_FALSE(row.mechanism->is_complete());
        EXPECT_FALSE(row.mechanism->respond("{\"status\":\"400\"}"));
    }
}

}  // namespace postrider::sasl
