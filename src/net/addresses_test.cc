#include "net/addresses.h"

#include <boost/asio/ip/address.hpp>
#include <gtest/gtest.h>

namespace postrider::net {
namespace {

HostAddress at(const std::string& address, int preference = 0) {
    return {"mx", boost::asio::ip::make_address(address), preference};
}

// `4` and `6` for the families, in order.
std::string families(const std::vector<HostAddress>& list) {
    std::string text;
    for (const auto& entry : list) text += entry.address.is_v6() ? '6' : '4';
    return text;
}

std::vector<HostAddress> mixture(int ipv6, int ipv4) {
    std::vector<HostAddress> list;
    for (int i = 0; i < ipv4; ++i) list.push_back(at("192.0.2." + std::to_string(i + 1)));
    for (int i = 0; i < ipv6; ++i) list.push_back(at("2001:db8::" + std::to_string(i + 1)));
    return list;
}

struct Case {
    int ipv6;
    int ipv4;
    AddressPreference preference;
    std::size_t limit;
    bool balance;
    const char* expected;
};

TEST(Ordered, CutsAtTheLimitAndKeepsBothFamilies) {
    const Case cases[] = {
        {8, 8, AddressPreference::Ipv6, 5, true, "66644"},
        {8, 8, AddressPreference::Ipv4, 5, true, "44466"},
        {8, 8, AddressPreference::Ipv6, 5, false, "66666"},
        {2, 8, AddressPreference::Ipv6, 5, true, "66444"},
        {8, 1, AddressPreference::Ipv6, 5, true, "66664"},
        {8, 1, AddressPreference::Ipv4, 5, true, "46666"},
        {1, 1, AddressPreference::Ipv6, 5, true, "64"},
        {8, 0, AddressPreference::Ipv4, 5, true, "66666"},
        {0, 3, AddressPreference::Ipv6, 0, true, "444"},
        {8, 8, AddressPreference::Ipv6, 1, true, "6"},
    };
    for (const auto& c : cases) {
        AddressOrder order;
        order.preference = c.preference;
        order.limit = c.limit;
        order.balance_families = c.balance;
        EXPECT_EQ(families(ordered(mixture(c.ipv6, c.ipv4), order, 7)), c.expected)
            << c.ipv6 << "+" << c.ipv4 << " limit " << c.limit;
    }
}

TEST(Ordered, SortsByPreferenceOfTheExchangerBeforeTheFamily) {
    AddressOrder order;
    order.preference = AddressPreference::Ipv6;

    const auto list = ordered({at("2001:db8::1", 20), at("192.0.2.1", 10)}, order, 1);

    EXPECT_EQ(list[0], at("192.0.2.1", 10));
    EXPECT_EQ(list[1], at("2001:db8::1", 20));
}

TEST(Ordered, ShufflesEqualsUnlessToldNotTo) {
    AddressOrder order;
    order.preference = AddressPreference::Ipv4;
    order.limit = 0;
    const auto given = mixture(0, 20);

    EXPECT_NE(ordered(given, order, 1), ordered(given, order, 2));
    EXPECT_EQ(ordered(given, order, 1), ordered(given, order, 1));

    order.randomize = false;
    EXPECT_EQ(ordered(given, order, 1), given);
}

TEST(Ordered, ChoosesOneFamilyAtRandomWhenNoneIsPreferred) {
    AddressOrder order;
    int ipv6_first = 0;
    for (std::uint64_t seed = 0; seed < 100; ++seed) {
        const std::string text = families(ordered(mixture(2, 2), order, seed));
        EXPECT_TRUE(text == "6644" || text == "4466") << text;
        if (text == "6644") ++ipv6_first;
    }
    EXPECT_GT(ipv6_first, 20);
    EXPECT_LT(ipv6_first, 80);
}

}  // namespace
}  // namespace postrider::net
