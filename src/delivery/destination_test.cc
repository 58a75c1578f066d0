#include "delivery/destination.h"

#include <gtest/gtest.h>

namespace postrider::delivery {
namespace {

struct Written {
    const char* text;
    const char* host;
    std::uint16_t port;
    bool is_literal;
    bool lookup_mx;

    friend void PrintTo(const Written& written, std::ostream* out) { *out << written.text; }
};

class ReadsNextHop : public testing::TestWithParam<Written> {};

TEST_P(ReadsNextHop, AsPostfixDoes) {
    const Written& expected = GetParam();

    const auto hop = parse_next_hop(expected.text, PortNames::standard(), 25);

    ASSERT_TRUE(hop) << hop.error().message;
    EXPECT_EQ(hop->host, expected.host);
    EXPECT_EQ(hop->port, expected.port);
    EXPECT_EQ(hop->is_literal, expected.is_literal);
    EXPECT_EQ(hop->lookup_mx, expected.lookup_mx);
    EXPECT_EQ(hop->written, expected.text);
}

INSTANTIATE_TEST_SUITE_P(
    Forms, ReadsNextHop,
    testing::Values(Written{"[smtp.gmail.com]:465", "smtp.gmail.com", 465, false, false},
                    Written{"[smtp.gmail.com]:smtps", "smtp.gmail.com", 465, false, false},
                    Written{"[Smtp.Gmail.COM]:SUBMISSIONS", "smtp.gmail.com", 465, false, false},
                    Written{"smtp.example.net:submission", "smtp.example.net", 587, false, true},
                    Written{"example.net", "example.net", 25, false, true},
                    Written{"[example.net.]", "example.net", 25, false, false},
                    Written{"[192.0.2.7]:587", "192.0.2.7", 587, true, false},
                    Written{"192.0.2.7", "192.0.2.7", 25, true, false},
                    Written{"[2001:DB8::7]:465", "2001:db8::7", 465, true, false},
                    Written{"[IPv6:2001:db8::7]:465", "2001:db8::7", 465, true, false},
                    Written{"localhost:2525", "localhost", 2525, false, true}));

TEST(NextHop, RefusesWhatItCannotMean) {
    for (const char* text : {"", " ", "[host", "[]:25", "[host]25", "host:", "host:0", "host:65536",
                             "host:nosuchservice", ":25", "[IPv6:host]:25", "a b", "[a/b]:25",
                             "..example", "2001:db8::7"}) {
        EXPECT_FALSE(parse_next_hop(text, PortNames::standard(), 25)) << text;
    }
}

TEST(NextHop, ListsKeepTheirOrder) {
    const auto hops =
        parse_next_hops("[a.example]:465, b.example\n [c.example]", PortNames::standard(), 587);

    ASSERT_TRUE(hops);
    ASSERT_EQ(hops->size(), 3U);
    EXPECT_EQ((*hops)[0].written, "[a.example]:465");
    EXPECT_EQ((*hops)[1].host, "b.example");
    EXPECT_EQ((*hops)[2].port, 587);
}

TEST(NextHop, ListsAreBounded) {
    std::string list;
    for (std::size_t i = 0; i <= kNextHopsMax; ++i) list += "[h.example] ";

    EXPECT_FALSE(parse_next_hops(list, PortNames::standard(), 25));
    EXPECT_FALSE(parse_next_hops(" , ", PortNames::standard(), 25));
}

TEST(PortNames, ChainsAliases) {
    const auto names = PortNames::parse("a=b=1000 c=2000");

    ASSERT_TRUE(names);
    EXPECT_EQ(names->find("A"), 1000);
    EXPECT_EQ(names->find("b"), 1000);
    EXPECT_EQ(names->find("c"), 2000);
    EXPECT_EQ(names->find("25"), 25);
    EXPECT_FALSE(names->find("d"));
    EXPECT_FALSE(PortNames::parse("a=x"));
    EXPECT_FALSE(PortNames::parse("a"));
}

}  // namespace
}  // namespace postrider::delivery
