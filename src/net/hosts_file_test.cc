#include "net/hosts_file.h"

#include <gtest/gtest.h>

namespace postrider::net {
namespace {

TEST(HostsFile, GivesEveryNameItsAddresses) {
    const auto table = parse_hosts(
        "# the usual\n"
        "127.0.0.1\tlocalhost\n"
        "::1 LocalHost ip6-localhost # loopback\r\n"
        "\n"
        "not-an-address name\n"
        "192.0.2.1   mail.example.org mail");

    ASSERT_EQ(table.at("localhost").size(), 2u);
    EXPECT_EQ(table.at("localhost")[1].to_string(), "::1");
    EXPECT_EQ(table.at("ip6-localhost")[0].to_string(), "::1");
    EXPECT_EQ(table.at("mail")[0].to_string(), "192.0.2.1");
    EXPECT_EQ(table.count("name"), 0u);
    EXPECT_EQ(table.count("loopback"), 0u);
}

}  // namespace
}  // namespace postrider::net
