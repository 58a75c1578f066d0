#include "table/network.h"

#include <gtest/gtest.h>

namespace postrider::table {
namespace {

TEST(Network, ContainsItsAddresses) {
    const struct {
        const char *network, *address;
        bool contains;
    } cases[] = {
        {"10.0.0.0/8", "10.255.255.255", true},
        {"10.0.0.0/8", "11.0.0.0", false},
        {"10.0.0.0/7", "11.0.0.0", true},
        {"0.0.0.0/0", "255.1.2.3", true},
        {"192.0.2.129/32", "192.0.2.129", true},
        {"192.0.2.128/25", "192.0.2.127", false},
        {"[2001:db8::]/33", "2001:db8:7fff::1", true},
        {"[2001:db8::]/33", "2001:db8:8000::1", false},
        {"::/0", "1.2.3.4", false},
        {"[::1]", "::1", true},
    };
    for (const auto& test : cases) {
        const auto network = Network::parse(test.network);
        ASSERT_TRUE(network) << test.network;
        EXPECT_EQ(network->contains(*IpAddress::parse(test.address)), test.contains)
            << test.network << " " << test.address;
    }
}

TEST(IpAddress, RefusesWhatIsNotOne) {
    for (const char* text :
         {"", "1", "1.2.3", "1.2.3.4.5", "256.1.1.1", "::g", "[::1]", "1.2.3.4 "})
        EXPECT_FALSE(IpAddress::parse(text)) << text;
}

}  // namespace
}  // namespace postrider::table
