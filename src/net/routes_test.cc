#include "net/routes.h"

#include <cstring>

#include <arpa/inet.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>

#include <gtest/gtest.h>

namespace postrider::net {
namespace {

// Messages as the kernel sends them.
class Messages {
public:
    struct Route {
        int family = AF_INET;
        std::string to;  // `192.0.2.0/24`; empty: the default route
        std::string gateway;
        int interface = 2;
        int type = RTN_UNICAST;
        int table = RT_TABLE_MAIN;
        unsigned flags = 0;
    };

    Messages& add(const Route& route, int message_type = RTM_NEWROUTE) {
        rtmsg body{};
        body.rtm_family = static_cast<unsigned char>(route.family);
        body.rtm_type = static_cast<unsigned char>(route.type);
        body.rtm_table = static_cast<unsigned char>(route.table);
        body.rtm_flags = route.flags;
        std::string attributes = attribute(RTA_OIF, raw(route.interface));
        if (!route.to.empty()) {
            const auto slash = route.to.find('/');
            body.rtm_dst_len = static_cast<unsigned char>(std::stoi(route.to.substr(slash + 1)));
            attributes += attribute(RTA_DST, address(route.family, route.to.substr(0, slash)));
        }
        if (!route.gateway.empty()) {
            attributes += attribute(RTA_GATEWAY, address(route.family, route.gateway));
        }
        return message(message_type, raw(body) + attributes);
    }

    Messages& add_address(int family, const std::string& text, int interface = 2,
                          unsigned flags = 0, int scope = RT_SCOPE_UNIVERSE) {
        ifaddrmsg body{};
        body.ifa_family = static_cast<unsigned char>(family);
        body.ifa_index = static_cast<unsigned>(interface);
        body.ifa_scope = static_cast<unsigned char>(scope);
        return message(RTM_NEWADDR, raw(body) + attribute(IFA_ADDRESS, address(family, text)) +
                                        attribute(IFA_FLAGS, raw(flags)));
    }

    Messages& message(int type, const std::string& body) {
        nlmsghdr header{};
        header.nlmsg_len = static_cast<unsigned>(NLMSG_LENGTH(body.size()));
        header.nlmsg_type = static_cast<std::uint16_t>(type);
        bytes_ += padded(raw(header) + body);
        return *this;
    }

    Routes read() const {
        Routes routes;
        EXPECT_TRUE(add_messages(bytes_, routes));
        return routes;
    }
    const std::string& bytes() const { return bytes_; }

    template <typename T>
    static std::string raw(const T& value) {
        return {reinterpret_cast<const char*>(&value), sizeof value};
    }

private:
    static std::string padded(std::string text) {
        text.resize(NLMSG_ALIGN(text.size()));
        return text;
    }
    static std::string attribute(int type, const std::string& value) {
        rtattr header{};
        header.rta_len = static_cast<std::uint16_t>(RTA_LENGTH(value.size()));
        header.rta_type = static_cast<std::uint16_t>(type);
        return padded(raw(header) + value);
    }
    static std::string address(int family, const std::string& text) {
        std::string bytes(family == AF_INET6 ? 16 : 4, '\0');
        EXPECT_EQ(::inet_pton(family, text.c_str(), bytes.data()), 1) << text;
        return bytes;
    }

    std::string bytes_;
};

using Route = Messages::Route;

TEST(Routes, LeadOutOnlyWhereTheWorldMayBe) {
    const struct {
        const char* what;
        Route route;
        bool leads_out;
    } cases[] = {
        {"a default route", {.gateway = "192.0.2.1"}, true},
        {"a default route of IPv6", {.family = AF_INET6, .gateway = "fe80::1"}, true},
        {"a network beside us", {.to = "192.0.2.0/24"}, true},
        {"a tunnel's own table", {.table = 200}, true},
        {"loopback", {.to = "127.0.0.0/8", .interface = 1}, false},
        {"our own address",
         {.to = "192.0.2.7/32", .type = RTN_LOCAL, .table = RT_TABLE_LOCAL},
         false},
        {"the table of our own addresses", {.to = "192.0.2.7/32", .table = RT_TABLE_LOCAL}, false},
        {"link-local", {.to = "169.254.0.0/16"}, false},
        {"link-local of IPv6", {.family = AF_INET6, .to = "fe80::/64"}, false},
        {"multicast", {.family = AF_INET6, .to = "ff00::/8"}, false},
        {"a refusal", {.type = RTN_UNREACHABLE}, false},
        {"a cable that is not plugged in",
         {.gateway = "192.0.2.1", .flags = RTNH_F_LINKDOWN},
         false},
        {"a dead one", {.gateway = "192.0.2.1", .flags = RTNH_F_DEAD}, false},
    };
    for (const auto& one : cases) {
        EXPECT_EQ(Messages().add(one.route).read().leads_out, one.leads_out) << one.what;
    }
    EXPECT_FALSE(Messages().read().leads_out);
}

TEST(Routes, AreMoreWhenANetworkIsNew) {
    Messages home;
    home.add({.to = "192.0.2.0/24"})
        .add({.gateway = "192.0.2.1"})
        .add_address(AF_INET, "192.0.2.7");
    const Routes before = home.read();
    EXPECT_TRUE(before.has_more_than(Routes()));
    EXPECT_FALSE(before.has_more_than(before));
    EXPECT_FALSE(Routes().has_more_than(before));

    Messages dock = home;
    EXPECT_TRUE(dock.add({.gateway = "198.51.100.1", .interface = 3}).read().has_more_than(before));
    Messages tethered = home;
    EXPECT_TRUE(tethered.add_address(AF_INET6, "2001:db8::7").read().has_more_than(before));
    // The same gateway over another radio is another network.
    EXPECT_TRUE(
        Messages().add({.gateway = "192.0.2.1", .interface = 4}).read().has_more_than(before));
    // Neighbours only.
    Messages beside = home;
    beside.add({.to = "172.17.0.0/16", .interface = 5});
    EXPECT_FALSE(beside.read().has_more_than(before));
}

TEST(Routes, AreNewAgainAfterALoss) {
    Messages home;
    home.add({.gateway = "192.0.2.1"}).add_address(AF_INET, "192.0.2.7");
    Routes known = home.read();
    Routes seen;
    Routes lost;
    Messages gone;
    gone.add({.gateway = "192.0.2.1"}, RTM_DELROUTE);
    ASSERT_TRUE(add_messages(gone.bytes(), seen, &lost));
    EXPECT_FALSE(seen.leads_out);
    known.remove(lost);
    EXPECT_TRUE(home.read().has_more_than(known));
}

TEST(Routes, CountAddressesThatCanBeUsed) {
    Messages all;
    all.add_address(AF_INET, "127.0.0.1", 1)
        .add_address(AF_INET6, "fe80::7", 2, 0, RT_SCOPE_LINK)
        .add_address(AF_INET6, "2001:db8::7", 2, IFA_F_TENTATIVE)
        .add_address(AF_INET, "169.254.3.4");
    EXPECT_EQ(all.read().addresses.size(), 0U);
    EXPECT_EQ(all.add_address(AF_INET, "192.0.2.7").read().addresses.size(), 1U);
}

TEST(Routes, EndWhereTheKernelSaysSo) {
    Routes routes;
    EXPECT_FALSE(*add_messages(Messages().add({}).bytes(), routes));
    EXPECT_TRUE(*add_messages(Messages().message(NLMSG_DONE, "\0\0\0\0").bytes(), routes));
    nlmsgerr refusal{};
    refusal.error = -EPERM;
    const auto refused =
        add_messages(Messages().message(NLMSG_ERROR, Messages::raw(refusal)).bytes(), routes);
    ASSERT_FALSE(refused);
    EXPECT_NE(refused.error().message.find("Operation not permitted"), std::string::npos);
}

TEST(Routes, SurviveBytesThatAreCutOff) {
    const std::string whole =
        Messages().add({.gateway = "192.0.2.1"}).add_address(AF_INET, "192.0.2.7").bytes();
    for (std::size_t size = 0; size < whole.size(); ++size) {
        Routes routes;
        EXPECT_TRUE(add_messages(std::string(whole, 0, size), routes)) << size;
    }
}

TEST(Routes, OfThisMachineCanBeRead) {
    const auto routes = read_routes();
    ASSERT_TRUE(routes) << routes.error().message;
}

}  // namespace
}  // namespace postrider::net
