#include "intake/login_senders.h"

#include <gtest/gtest.h>

namespace postrider::intake {
namespace {

CapturedLog lines;
const Log kLog(lines, "sendmail");

LoginSenders senders(const char* maps) {
    return {table::Tables::open("local_login_sender_maps", maps, {}, kLog), "<>", "+"};
}

TEST(LoginSenders, AreThoseOfTheLoginsPatterns) {
    const LoginSenders rules = senders(
        "inline:{ {root = *} {shop = @shop.example} {cron = <>}"
        " {ann = ann, ann@desk.example \"Ann Lee\"@desk.example} {uid:4242 = daemon@desk.example} "
        "}");
    struct Case {
        const char* login;
        mail::Address sender;
        bool allowed;
    };
    const Case cases[] = {
        {"root", {"anybody", "any.example"}, true},
        {"root", {}, true},
        {"ann", {"ann", ""}, true},
        {"ann", {"ANN", "Desk.Example"}, true},
        {"ann", {"ann+list", "desk.example"}, true},
        {"ann", {"Ann Lee", "desk.example"}, true},
        {"ann", {"Ann", "Lee"}, false},
        {"ann", {"ann", "other.example"}, false},
        {"ann", {"annie", "desk.example"}, false},
        {"ann", {"bob", "desk.example"}, false},
        {"ann", {}, false},
        {"shop", {"orders", "shop.example"}, true},
        {"shop", {"orders", "SHOP.example"}, true},
        {"shop", {"orders", "www.shop.example"}, false},
        {"shop", {"shop.example", ""}, false},
        {"shop", {"@shop.example", "evil.example"}, false},
        {"shop", {}, false},
        {"cron", {}, true},
        {"cron", {"cron", ""}, false},
        {"uid:4242", {"daemon", "desk.example"}, true},
        {"uid:4243", {"daemon", "desk.example"}, false},
        {"nobody", {"nobody", ""}, false},
        {"", {}, false},
    };
    for (const Case& c : cases) {
        const auto allowed = rules.allow(c.login, c.sender);
        ASSERT_TRUE(allowed);
        EXPECT_EQ(*allowed, c.allowed) << c.login << " as <" << mail::external(c.sender) << ">";
    }
}

TEST(LoginSenders, OfPatternsMayBeMadeFromTheName) {
    const LoginSenders rules = senders("inline:{root=*}, regexp:{{/^(.+)$/ $1 $1@desk.example}}");
    EXPECT_TRUE(*rules.allow("ann", {"ann", "desk.example"}));
    EXPECT_FALSE(*rules.allow("ann", {"bob", "desk.example"}));
}

TEST(LoginSenders, AreUnknownWhenATableFailsAndNoneBeforeItKnows) {
    const LoginSenders rules = senders("inline:{root=*}, fail:sorry");
    EXPECT_TRUE(*rules.allow("root", {"root", ""}));
    EXPECT_FALSE(rules.allow("ann", {"ann", ""}));
}

TEST(LoginSenders, DoNotEndWithinQuotes) {
    const LoginSenders rules = senders("static:\"a,b");
    EXPECT_FALSE(*rules.allow("ann", {"b", ""}));
}

}  // namespace
}  // namespace postrider::intake
