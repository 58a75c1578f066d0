#include "table/address_keys.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace postrider::table {
namespace {

using testing::ElementsAre;

std::vector<std::string> texts(const std::vector<AddressKey>& keys) {
    std::vector<std::string> result;
    for (const AddressKey& key : keys) result.push_back(key.text);
    return result;
}

TEST(AddressKeys, GoFromTheFullAddressToTheDomain) {
    EXPECT_THAT(texts(address_keys({"user+ext", "example.com", "+", true})),
                ElementsAre("user+ext@example.com", "user@example.com", "user+ext", "user",
                            "@example.com"));
    EXPECT_THAT(texts(address_keys({"user+ext", "example.com", "+", false})),
                ElementsAre("user+ext@example.com", "user@example.com", "@example.com"));
    EXPECT_THAT(texts(address_keys({"user+ext", "example.com", "", false})),
                ElementsAre("user+ext@example.com", "@example.com"));
    EXPECT_THAT(texts(address_keys({"user", "", "+", false})), ElementsAre("user"));
}

TEST(AddressKeys, AskForQuotedFormsFirst) {
    EXPECT_THAT(texts(address_keys({"a b", "x.org", "", true})),
                ElementsAre("\"a b\"@x.org", "a b@x.org", "\"a b\"", "a b", "@x.org"));
    EXPECT_THAT(texts(address_keys({"a\"b", "x.org", "", false})),
                ElementsAre("\"a\\\"b\"@x.org", "a\"b@x.org", "@x.org"));
}

TEST(AddressKeys, OnlyTheFirstIsWhole) {
    const auto keys = address_keys({"u-e", "x.org", "+-", false});

    EXPECT_TRUE(keys[0].whole);
    EXPECT_FALSE(keys[1].whole);
    EXPECT_TRUE(keys[1].without_extension);
    EXPECT_FALSE(keys[2].whole);
}

TEST(SplitExtension, LeavesSpecialNamesAlone) {
    const struct {
        const char *local, *delimiters, *bare, *extension;
    } cases[] = {
        {"user+a+b", "+", "user", "+a+b"},
        {"user", "+", "user", ""},
        {"+user", "+", "+user", ""},
        {"user-a", "+-", "user", "-a"},
        {"owner-list", "-", "owner-list", ""},
        {"list-request", "-", "list-request", ""},
        {"owner-a+b", "+", "owner-a", "+b"},
        {"Mailer-Daemon", "-", "Mailer-Daemon", ""},
        {"double-bounce", "-", "double-bounce", ""},
        {"user+", "+", "user", "+"},
    };
    for (const auto& test : cases) {
        const auto [bare, extension] = split_extension(test.local, test.delimiters);
        EXPECT_EQ(bare, test.bare);
        EXPECT_EQ(extension, test.extension) << test.local;
    }
}

TEST(DomainKeys, ClimbToTheTop) {
    EXPECT_THAT(domain_keys("a.example.com", Parents::WithDot),
                ElementsAre("a.example.com", ".example.com", ".com"));
    EXPECT_THAT(domain_keys("a.example.com", Parents::WithoutDot),
                ElementsAre("a.example.com", "example.com", "com"));
    EXPECT_THAT(domain_keys("", Parents::WithDot), ElementsAre());
}

TEST(TransportKeys, EndWithTheStar) {
    EXPECT_THAT(texts(transport_keys({"u+e", "a.org", "+", false}, Parents::WithDot)),
                ElementsAre("u+e@a.org", "u@a.org", "a.org", ".org", "*"));
}

TEST(FindAddress, ReportsTheExtensionThatDidNotMatch) {
    CapturedLog captured;
    const Log log(captured, "cleanup");
    const auto tables = Tables::open(
        "canonical_maps", "regexp:{{/^@|^u$/ wrong}} inline:{u+x@a.org=X, u@a.org=Y}", {}, log);

    const auto exact = find_address(tables, {"u+x", "a.org", "+", false});
    ASSERT_TRUE(exact && *exact);
    EXPECT_EQ((*exact)->value, "X");
    EXPECT_EQ((*exact)->unmatched_extension, "");

    const auto bare = find_address(tables, {"u+z", "a.org", "+", false});
    ASSERT_TRUE(bare && *bare);
    EXPECT_EQ((*bare)->value, "Y");
    EXPECT_EQ((*bare)->unmatched_extension, "+z");

    const auto none = find_address(tables, {"v", "a.org", "+", true});
    ASSERT_TRUE(none);
    EXPECT_FALSE(none->has_value());
}

}  // namespace
}  // namespace postrider::table
