#include "net/endpoint.h"

#include <gtest/gtest.h>

namespace postrider::net {
namespace {

std::string literal(std::string_view text) {
    const auto address = parse_ip_literal(text);
    return address ? address->to_string() : "none";
}

TEST(Endpoint, ParsesAddressLiterals) {
    EXPECT_EQ(literal("192.0.2.1"), "192.0.2.1");
    EXPECT_EQ(literal("[192.0.2.1]"), "192.0.2.1");
    EXPECT_EQ(literal("[IPv6:2001:DB8::1]"), "2001:db8::1");
    EXPECT_EQ(literal("ipv6:::1"), "::1");
    EXPECT_EQ(literal("::1"), "::1");
}

TEST(Endpoint, TakesNamesAndOddNumbersForNoLiteral) {
    for (const char* text : {"", "[]", "[", "smtp.example.com", "192.0.2", "192.0.2.256", "1",
                             "[IPv6:192.0.2.1]", "192.0.2.1 ", "192.0.2.1]"}) {
        EXPECT_EQ(literal(text), "none") << text;
    }
}

TEST(Endpoint, ShowsMappedAddressesAsIpv4) {
    EXPECT_EQ(unmapped(*parse_ip_literal("::ffff:192.0.2.1")).to_string(), "192.0.2.1");
    EXPECT_EQ(unmapped(*parse_ip_literal("2001:db8::1")).to_string(), "2001:db8::1");
}

}  // namespace
}  // namespace postrider::net
