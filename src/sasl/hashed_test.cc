#include "sasl/hashed.h"

#include <algorithm>
#include <cstring>

#include <gsasl.h>
#include <gtest/gtest.h>

#include "core/base64.h"

// The vectors of the RFCs need their nonce. libgsasl calls this function through its symbol
// table, so that the one in the program wins over its own.
extern "C" int gsasl_nonce(char* data, size_t size) {
    const auto nonce = *postrider::decode_base64("fyko+d2lbbFgONRv9qkxdawL");
    for (std::size_t i = 0; i < size; ++i) data[i] = nonce[i % nonce.size()];
    return GSASL_OK;
}

namespace postrider::sasl {

namespace {

Credentials credentials(std::string user, std::string_view password) {
    Credentials result;
    result.user = std::move(user);
    result.password = Secret(password);
    return result;
}

std::unique_ptr<Mechanism> made(Result<std::unique_ptr<Mechanism>> mechanism) {
    EXPECT_TRUE(mechanism) << (mechanism ? "" : mechanism.error().message);
    return mechanism ? std::move(mechanism).value() : nullptr;
}

constexpr std::string_view kSha1Challenge =
    "r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,s=QSXCR+Q6sek8bf92,i=4096";

}  // namespace

TEST(CramMd5, HasTheVectorOfTheRfc) {
    auto mechanism = made(make_cram_md5(credentials("tim", "tanstaaftanstaaf")));
    EXPECT_FALSE(mechanism->initial_response()->has_value());
    EXPECT_FALSE(mechanism->is_complete());
    EXPECT_EQ(mechanism->respond("<1896.697170952@postoffice.reston.mci.net>")->reveal(),
              "tim b913a602c7eda7a495b4e6e7334d3890");
    EXPECT_TRUE(mechanism->is_complete());
    EXPECT_FALSE(mechanism->respond("<again@x>"));
}

TEST(ScramSha1, HasTheVectorOfTheRfc) {
    auto mechanism = made(make_scram_sha1(credentials("user", "pencil")));
    EXPECT_EQ((*mechanism->initial_response())->reveal(), "n,,n=user,r=fyko+d2lbbFgONRv9qkxdawL");
    EXPECT_EQ(mechanism->respond(kSha1Challenge)->reveal(),
              "c=biws,r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,p=v0X8v3Bz2T0CJGbJQyF0X+HI4Ts=");
    EXPECT_FALSE(mechanism->is_complete());
    EXPECT_EQ(mechanism->respond("v=rmF9pqV8S7suAoZWja4dJRkFsKQ=")->reveal(), "");
    EXPECT_TRUE(mechanism->is_complete());
}

// RFC 7677's own vector has a shorter nonce than libgsasl makes; these values were computed
// independently, by code that reproduces that vector.
TEST(ScramSha256, ProvesAndVerifies) {
    auto mechanism = made(make_scram_sha256(credentials("user", "pencil")));
    ASSERT_TRUE(mechanism->initial_response());
    EXPECT_EQ(mechanism
                  ->respond("r=fyko+d2lbbFgONRv9qkxdawL%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,"
                            "s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096")
                  ->reveal(),
              "c=biws,r=fyko+d2lbbFgONRv9qkxdawL%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,"
              "p=2FUSN0pPcS7P8hBhsxBJOiUDbRoW4KVNGZT0LxVnSek=");
    ASSERT_TRUE(mechanism->respond("v=zJZjsVp2g+W9jd01vgbsshippfH1sM0tLdBvs+e3DF4="));
    EXPECT_TRUE(mechanism->is_complete());
}

TEST(ScramSha1, DoesNotBelieveAServerThatCannotProveItself) {
    for (const std::string_view proof :
         {"v=AAAAAAAAAAAAAAAAAAAAAAAAAAA=", "", "e=other-error", "v="}) {
        auto mechanism = made(make_scram_sha1(credentials("user", "pencil")));
        ASSERT_TRUE(mechanism->initial_response());
        ASSERT_TRUE(mechanism->respond(kSha1Challenge));
        auto answer = mechanism->respond(proof);
        EXPECT_FALSE(answer) << proof;
        EXPECT_FALSE(mechanism->is_complete());
    }
}

TEST(ScramSha1, RefusesChallengesThatMakeNoSense) {
    for (const std::string_view challenge :
         {"", "x", "r=other,s=QSXCR+Q6sek8bf92,i=4096",
          "r=fyko+d2lbbFgONRv9qkxdawLx,s=QSXCR+Q6sek8bf92,i=0",
          "r=fyko+d2lbbFgONRv9qkxdawLx,s=QSXCR+Q6sek8bf92,i=1000001",
          "r=fyko+d2lbbFgONRv9qkxdawLx,s=QSXCR+Q6sek8bf92,i=99999999999999999999999",
          "r=fyko+d2lbbFgONRv9qkxdawLx,i=4096"}) {
        auto mechanism = made(make_scram_sha1(credentials("user", "pencil")));
        ASSERT_TRUE(mechanism->initial_response());
        auto answer = mechanism->respond(challenge);
        ASSERT_FALSE(answer) << challenge;
        EXPECT_EQ(answer.error().code, ErrorCode::Protocol);
    }
}

}  // namespace postrider::sasl
