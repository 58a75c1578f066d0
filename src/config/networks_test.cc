#include "config/networks.h"

#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace postrider::config {

using ::testing::HasSubstr;

namespace {

const Host kHost = {
    "mail",
    {{"127.0.0.1", 8}, {"::1", 128}, {"192.0.2.7", 24}, {"2001:db8::7", 64}, {"fe80::1", 64}}};

std::string networks(std::string_view style, std::vector<std::string> interfaces,
                     bool ipv6 = true) {
    return default_networks(kHost, {style, interfaces, true, ipv6});
}

}  // namespace

TEST(DefaultNetworks, AreTheLoopbackWhenWeListenThereOnly) {
    EXPECT_EQ(networks("host", {"loopback-only"}), "127.0.0.0/8 [::1]/128");
    EXPECT_EQ(networks("subnet", {"loopback-only"}, false), "127.0.0.0/8");
}

TEST(DefaultNetworks, AreAsWideAsTheStyleSays) {
    const std::vector<std::string> all = {"all"};
    EXPECT_EQ(networks("host", all), "127.0.0.0/8 [::1]/128 192.0.2.7/32 [2001:db8::7]/128");
    EXPECT_EQ(networks("subnet", all), "127.0.0.0/8 [::1]/128 192.0.2.0/24 [2001:db8::]/64");
    EXPECT_EQ(networks("class", all, false), "127.0.0.0/8 192.0.2.0/24");
}

TEST(DefaultNetworks, HoldOnlyAddressesThatWeListenOn) {
    EXPECT_EQ(networks("host", {"localhost", "192.0.2.7"}), "127.0.0.0/8 [::1]/128 192.0.2.7/32");
}

TEST(CheckNetwork, AcceptsAddressesAndNetworks) {
    for (const auto* item : {"192.0.2.7", "192.0.2.0/24", "127.0.0.0/8", "[::1]/128", "[::1]",
                             "[::ffff:127.0.0.0]/104", "[2001:db8::]/32", "0.0.0.0/0"})
        EXPECT_TRUE(check_network(item)) << item;
}

TEST(CheckNetwork, SaysWhatIsWrong) {
    const std::pair<const char*, const char*> cases[] = {
        {"192.0.2.7/24",
         "non-null host address bits in \"192.0.2.7/24\", perhaps you should use "
         "\"192.0.2.0/24\" instead"},
        {"[2001:db8::7]/32", "\"[2001:db8::]/32\" instead"},
        {"::1/128", "brackets"},
        {"192.0.2", "bad address"},
        {"192.0.2.0/33", "bad network length"},
        {"192.0.2.0/x", "bad network length"},
        {"localhost", "bad address"},
    };
    for (const auto& [item, wanted] : cases) {
        const auto checked = check_network(item);
        ASSERT_FALSE(checked) << item;
        EXPECT_THAT(checked.error().message, HasSubstr(wanted));
    }
}

}  // namespace postrider::config
