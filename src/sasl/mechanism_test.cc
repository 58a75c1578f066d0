#include "sasl/mechanism.h"

#include <gtest/gtest.h>

namespace postrider::sasl {

namespace {

const std::vector<std::string> kGmail = {"LOGIN",       "PLAIN", "XOAUTH2", "PLAIN-CLIENTTOKEN",
                                         "OAUTHBEARER", "XOAUTH"};
const std::vector<std::string> kAll = {"login",         "Plain",  "CRAM-MD5", "SCRAM-SHA-1",
                                       "SCRAM-SHA-256", "GSSAPI", "XOAUTH2"};

std::string chosen(const std::vector<std::string>& offered, const MechanismFilter& filter,
                   std::string_view options) {
    Credentials credentials;
    credentials.user = "ann";
    credentials.password = Secret("secret");
    auto mechanism = choose(offered, filter, *parse_security_options(options), credentials);
    return mechanism ? std::string((*mechanism)->name()) : mechanism.error().message;
}

MechanismFilter only(std::string name) {
    return [name](std::string_view mechanism) { return mechanism == name; };
}

}  // namespace

TEST(Choose, TakesTheStrongestThatIsAllowed) {
    constexpr std::string_view kNone = "No worthy mechs found";
    struct Row {
        const std::vector<std::string>& offered;
        MechanismFilter filter;
        std::string_view options;
        std::string_view expected;
    };
    const auto no_scram = [](std::string_view name) { return !name.starts_with("SCRAM"); };
    const std::vector<std::string> token_only = {"XOAUTH2", "OAUTHBEARER"};
    const Row rows[] = {
        {kAll, {}, "", "SCRAM-SHA-256"},
        {kAll, only("SCRAM-SHA-1"), "noplaintext", "SCRAM-SHA-1"},
        {kAll, no_scram, "", "CRAM-MD5"},
        {kAll, no_scram, "mutual_auth", kNone},
        {kAll, {}, "mutual_auth,noactive", "SCRAM-SHA-256"},
        {kAll, {}, "nodictionary", kNone},
        {kAll, {}, "forward_secrecy", kNone},
        {kAll, only("PLAIN"), "noanonymous", "PLAIN"},
        {kAll, only("LOGIN"), "", "LOGIN"},
        {kAll, only("GSSAPI"), "", kNone},
        {kGmail, {}, "noanonymous", "PLAIN"},
        {kGmail, {}, "noplaintext", kNone},
        {kGmail, only("XOAUTH2"), "", "XOAUTH2"},
        {kGmail, only("OAUTHBEARER"), "", "OAUTHBEARER"},
        {token_only, {}, "", kNone},
    };
    for (const Row& row : rows)
        EXPECT_EQ(chosen(row.offered, row.filter, row.options), row.expected);
}

TEST(Choose, RefusesCredentialsThatCouldNotBeSent) {
    Credentials credentials;
    credentials.user = "ann";
    credentials.password = Secret(std::string_view("a\0b", 3));
    auto mechanism = choose({"PLAIN"}, {}, {}, credentials);
    ASSERT_FALSE(mechanism);
    EXPECT_EQ(mechanism.error().code, ErrorCode::Invalid);
}

}  // namespace postrider::sasl
