#include "table/match_list.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "table/test_directory.h"

namespace postrider::table {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

class MatchListTest : public testing::Test {
protected:
    static char show(const Result<bool>& result) { return !result ? '!' : *result ? 'y' : 'n'; }
    char text(std::string_view list, std::string_view text, MatchKind kind = MatchKind::Text) {
        return show(MatchList::open("p", list, kind, {}, log).matches(text));
    }
    char address(std::string_view list, std::string_view address) {
        return show(MatchList::open("mynetworks", list, MatchKind::Domain, {}, log)
                        .matches_address(address));
    }

    TestDirectory directory;
    CapturedLog captured;
    Log log{captured, "smtpd"};
};

TEST_F(MatchListTest, TheFirstMatchDecides) {
    EXPECT_EQ(text("plain, LOGIN", "login"), 'y');
    EXPECT_EQ(text("plain login", "xoauth2"), 'n');
    EXPECT_EQ(text("!gssapi, static:rest", "GSSAPI"), 'n');
    EXPECT_EQ(text("!gssapi, static:rest", "PLAIN"), 'y');
    EXPECT_EQ(text("!!plain", "plain"), 'y');
    EXPECT_EQ(text("", "plain"), 'n');
    EXPECT_EQ(text("static:anyone", "root"), 'y');
    EXPECT_EQ(text("!root, static:anyone", "root"), 'n');
    EXPECT_EQ(text("inline:{{ann=}}", "Ann"), 'y');
}

TEST_F(MatchListTest, DomainsMatchSubdomainsByTheirKind) {
    using enum MatchKind;
    EXPECT_EQ(text(".example.com", "a.example.com", Domain), 'y');
    EXPECT_EQ(text(".example.com", "example.com", Domain), 'n');
    EXPECT_EQ(text("example.com", "a.example.com", Domain), 'n');
    EXPECT_EQ(text("example.com", "a.example.com", DomainAndParents), 'y');
    EXPECT_EQ(text("example.com", "anexample.com", DomainAndParents), 'n');
    EXPECT_EQ(text("inline:{.example.com=x}", "a.b.example.com", Domain), 'y');
    EXPECT_EQ(text("inline:{example.com=x}", "a.b.example.com", DomainAndParents), 'y');
    EXPECT_EQ(text("inline:{example.com=x}", "a.b.example.com", Domain), 'n');
    EXPECT_EQ(text("regexp:{{/^example/ x}}", "a.example.com", DomainAndParents), 'n');
}

TEST_F(MatchListTest, AddressesMatchNetworks) {
    EXPECT_EQ(address("127.0.0.0/8 [::1]/128", "127.0.0.1"), 'y');
    EXPECT_EQ(address("127.0.0.0/8 [::1]/128", "::1"), 'y');
    EXPECT_EQ(address("127.0.0.0/8 [::1]/128", "10.0.0.1"), 'n');
    EXPECT_EQ(address("[2001:db8::/32]", "2001:DB8:1::2"), 'y');
    EXPECT_EQ(address("[::1]", "0:0:0:0:0:0:0:1"), 'y');
    EXPECT_EQ(address("192.0.2.1", "192.0.2.1"), 'y');
    EXPECT_EQ(address("!192.0.2.1 192.0.2.0/24", "192.0.2.1"), 'n');
    EXPECT_EQ(address("cidr:{{10.0.0.0/8 x}}", "10.9.9.9"), 'y');
    EXPECT_EQ(address("host.example.com 10.0.0.0/8", "10.1.1.1"), 'y');
    EXPECT_EQ(address("0.0.0.0/0", "example.com"), 'n');
    EXPECT_EQ(address("[::ffff:0:0]/96", "10.1.1.1"), 'n');
}

TEST_F(MatchListTest, AMistypedNetworkIsAnErrorNotANo) {
    EXPECT_EQ(address("192.0.2.1/24", "192.0.2.1"), '!');
    EXPECT_THAT(captured.lines().front(),
                HasSubstr("mynetworks: non-null host address bits in \"192.0.2.1/24\", perhaps you "
                          "should use \"192.0.2.0/24\" instead"));
    EXPECT_EQ(address("10.0.0.0/8 192.0.2.1/24", "10.0.0.1"), 'y');
    EXPECT_EQ(address("192.0.2.1/24 [::1]", "::1"), 'y');
}

TEST_F(MatchListTest, ClientsMatchByNameOrAddress) {
    const auto list = MatchList::open("debug_peer_list", "!bad.example.com .example.com 10.0.0.0/8",
                                      MatchKind::Domain, {}, log);

    EXPECT_EQ(show(list.matches_client("a.example.com", "192.0.2.1")), 'y');
    EXPECT_EQ(show(list.matches_client("bad.example.com", "10.0.0.1")), 'n');
    EXPECT_EQ(show(list.matches_client("unknown", "10.0.0.1")), 'y');
    EXPECT_EQ(show(list.matches_client("unknown", "192.0.2.1")), 'n');
}

TEST_F(MatchListTest, FilesStandForTheirContents) {
    const std::string inner = directory.write("inner", "b\n");
    const std::string outer = directory.write("outer", "# comment\na, !c\n   " + inner + "\n");

    EXPECT_EQ(text(outer, "a"), 'y');
    EXPECT_EQ(text(outer, "b"), 'y');
    EXPECT_EQ(text("!" + outer + " c d", "a"), 'n');
    EXPECT_EQ(text("!" + outer + " d", "c"), 'y');
}

TEST_F(MatchListTest, WhatCannotBeReadFailsWhenItIsReached) {
    EXPECT_EQ(text("a /nonexistent/file", "a"), 'y');
    EXPECT_EQ(text("a /nonexistent/file", "b"), '!');
    EXPECT_EQ(text("hash:/nonexistent/f", "b"), '!');
    EXPECT_THAT(captured.lines().back(), HasSubstr("p: hash:/nonexistent/f: table lookup problem"));
    EXPECT_EQ(text("a !", "b"), '!');
}

TEST_F(MatchListTest, FilesThatNameThemselvesComeToAnEnd) {
    const std::string loop = directory.path("loop");
    directory.write("loop", "a " + loop + "\n");

    EXPECT_EQ(text(loop, "a"), 'y');
    EXPECT_EQ(text(loop, "b"), '!');
}

}  // namespace
}  // namespace postrider::table
