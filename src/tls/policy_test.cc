#include "tls/policy.h"

#include <gtest/gtest.h>

namespace postrider::tls {
namespace {

std::string versions(std::string_view list) {
    const auto protocols = parse_protocols(list);
    if (!protocols) return protocols.error().message;
    std::string text;
    for (int i = 0; i < 5; ++i) text += (protocols->allowed >> i & 1) != 0 ? "s0123"[i] : '-';
    return text;
}

TEST(Protocols, AreListedInPostfixSyntax) {
    const std::pair<const char*, const char*> cases[] = {
        {"", "s0123"},
        {"!SSLv2, !SSLv3", "-0123"},
        {"!SSLv2, !TLSv1, !TLSv1.1", "s--23"},
        {"!sslv2:!sslv3:!tlsv1:!tlsv1.1", "---23"},
        {">=TLSv1", "-0123"},
        {">=TLSv1.2", "---23"},
        {">=tlsv1.1, <=TLSv1.2", "--12-"},
        {"TLSv1.2", "---2-"},
        {"TLSv1.2 TLSv1.3 !TLSv1.3", "---2-"},
        {">=0303", "---23"},
        {"<=0x0305", "s0123"},
        {">=0305", "-----"},
        {"SSLv2", "-----"},
        {"TLSv1.4", "Invalid TLS protocol list \"TLSv1.4\""},
        {">=", "Invalid TLS protocol list \">=\""},
        {"!TLSv1, nonsense", "Invalid TLS protocol list \"!TLSv1, nonsense\""},
        {">=0200", "Invalid TLS protocol list \">=0200\""},
        {"!", "Invalid TLS protocol list \"!\""},
    };
    for (const auto& [list, expected] : cases) EXPECT_EQ(versions(list), expected) << list;
}

TEST(CipherList, AddsExclusionsOfTheUserAndOfTheLevel) {
    CipherGrades grades;
    grades.high = "HIGH";
    grades.medium = "HIGH:MEDIUM";
    grades.null = "eNULL";
    const auto list = [&](const char* grade, Level level, const char* exclude) {
        auto result = cipher_list(grades, grade, level, exclude);
        return result ? *result : result.error().message;
    };

    EXPECT_EQ(list("high", Level::Verify, ""), "HIGH:!aNULL");
    EXPECT_EQ(list("HIGH", Level::Secure, "MD5, DES:RC4"), "HIGH:!MD5:!DES:!RC4:!aNULL");
    EXPECT_EQ(list("medium", Level::Encrypt, "aNULL"), "HIGH:MEDIUM:!aNULL:!eNULL");
    EXPECT_EQ(list("export", Level::May, ""), "HIGH:MEDIUM");
    EXPECT_EQ(list("null", Level::Fingerprint, ""), "eNULL:!aNULL");
    EXPECT_EQ(list("best", Level::May, ""), "invalid cipher grade: \"best\"");
    EXPECT_EQ(list("high", Level::May, "RC4 !MD5"),
              "invalid unary '!+-@' in cipher exclusion: !MD5");
}

TEST(Level, IsNamedAsInTheConfiguration) {
    EXPECT_EQ(parse_level("verify"), Level::Verify);
    EXPECT_EQ(parse_level("Secure"), Level::Secure);
    EXPECT_EQ(parse_level("dane"), std::nullopt);
    EXPECT_EQ(to_string(Level::Encrypt), "encrypt");
    EXPECT_FALSE(demands_match(Level::Encrypt));
    EXPECT_TRUE(demands_match(Level::Fingerprint));
    EXPECT_FALSE(demands_name(Level::Fingerprint));
}

TEST(Policy, HasOneTextForEachValue) {
    Policy a;
    Policy b;
    EXPECT_EQ(canonical(a), canonical(b));
    a.match = {"a b"};
    b.match = {"a", "b"};
    EXPECT_NE(canonical(a), canonical(b));
    b = a;
    b.level = Level::Encrypt;
    EXPECT_NE(canonical(a), canonical(b));
}

}  // namespace
}  // namespace postrider::tls
