#include "message/rewrite.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "message/cleanup_fixture.h"

namespace postrider::message {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;

std::string standard(const Desk& desk, std::string_view text) {
    const auto list = parse_address_list(text);
    if (list.empty()) return "(none)";
    return mail::external(Rewriter(desk.options.rewrite).standard_form(list.front()));
}

TEST(Rewriter, BringsAddressesIntoStandardForm) {
    Desk desk;
    desk.options.rewrite.append_dot_mydomain = true;
    const std::pair<const char*, const char*> cases[] = {
        {"ann", "ann@desk.example"},
        {"ann@x.example.", "ann@x.example"},
        {"ann@x.example..", "ann@x.example.."},
        {"ann@x", "ann@x.desk.example"},
        {"ann@[192.0.2.1]", "ann@[192.0.2.1]"},
        {"site!ann", "ann@site.desk.example"},
        {"ann%x.example", "ann@x.example"},
        {"ann%x@y.example", "ann%x@y.example"},
        {"!ann", "ann@desk.example"},
        {"ann%", "ann@desk.example"},
        {"\"ann%b, c@d\"", "\"ann%b, c@d\"@desk.example"},
        {"\"a, c@d!ann\"", "\"a, c@d!ann\"@desk.example"},
        {"<@a,@b:ann@x.example>", "ann@x.example"},
        {"\"a b\"", "\"a b\"@desk.example"},
    };
    for (const auto& [text, expected] : cases) EXPECT_EQ(standard(desk, text), expected) << text;
    desk.options.rewrite.swap_bangpath = desk.options.rewrite.allow_percent_hack = false;
    EXPECT_EQ(standard(desk, "site!ann"), "site!ann@desk.example");
}

TEST(Rewriter, MakesMailFromOurMailerDaemonNullSender) {
    const Desk desk;
    const Rewriter rewriter(desk.options.rewrite);
    EXPECT_TRUE(rewriter.standard_sender(mail::Address("mailer-daemon", "")).is_null());
    EXPECT_FALSE(rewriter.standard_sender(mail::Address("MAILER-DAEMON", "x")).is_null());
    EXPECT_EQ(rewriter.standard_recipient({}), mail::Address("MAILER-DAEMON", "desk.example"));
}

std::string queued(const Desk& desk, std::string_view recipients) {
    return desk.clean(desk.sendmail(recipients), "").recipients();
}

TEST(Rewriter, MapsAddressesCanonicallyByClass) {
    Desk desk;
    RewriteOptions& rewrite = desk.options.rewrite;
    rewrite.canonical_maps =
        desk.tables("canonical_maps", "inline:{ann=a.nn@corp.example, @old.example=@new.example}");
    rewrite.recipient_canonical_maps =
        desk.tables("recipient_canonical_maps", "inline:{bob@x=bob@old.example}");
    const Cleaned cleaned =
        desk.clean(desk.sendmail("bob@x, ann+tag"), "From: ann\nTo: bob@x\nReply-To: bob@x\n\n");
    EXPECT_EQ(cleaned.sender(), "a.nn@corp.example");
    EXPECT_EQ(cleaned.recipients(), "bob@new.example<bob@x>, a.nn+tag@corp.example<ann+tag>");
    EXPECT_THAT(cleaned.content,
                HasSubstr("From: a.nn@corp.example\nTo: bob@new.example\nReply-To: bob@x\n"));
}

TEST(Rewriter, MasqueradesTheFirstDomainThatMatches) {
    Desk desk;
    RewriteOptions& rewrite = desk.options.rewrite;
    rewrite.masquerade_domains = {"a.x.example", "!b.x.example", "x.example"};
    rewrite.masquerade_exceptions = {"root"};
    const Rewriter rewriter(rewrite);
    const std::pair<mail::Address, const char*> cases[] = {
        {{"u", "q.a.x.example"}, "a.x.example"}, {{"u", "c.b.x.example"}, "c.b.x.example"},
        {{"u", "C.X.example"}, "x.example"},     {{"root", "c.x.example"}, "c.x.example"},
        {{"u", "cx.example"}, "cx.example"},
    };
    for (const auto& [address, domain] : cases) {
        EXPECT_EQ((*rewriter.canonical(address, AddressClass::EnvelopeSender)).domain, domain);
    }
    EXPECT_EQ((*rewriter.canonical(cases[0].first, AddressClass::EnvelopeRecipient)).domain,
              "q.a.x.example");
}

TEST(Rewriter, SendsLocalMailWhereAliasesSay) {
    Desk desk;
    RewriteOptions& rewrite = desk.options.rewrite;
    rewrite.alias_maps = desk.tables(
        "alias_maps",
        "inline:{root=ann, {ann=ann@gmail.example}, {team=bob@x, \"Eve\" <eve@x>, root}, "
        "{prog=\"|/bin/prog\", bob@x}, {self=self, c@x}, {loop=pool}, {pool=loop}}");
    EXPECT_EQ(queued(desk, "root"), "ann@gmail.example<root>");
    EXPECT_EQ(queued(desk, "ROOT@localhost"), "ann@gmail.example<ROOT@localhost>");
    EXPECT_EQ(queued(desk, "root+tag"), "ann@gmail.example<root+tag>");
    EXPECT_EQ(queued(desk, "team"), "bob@x<team>, eve@x<team>, ann@gmail.example<team>");
    EXPECT_EQ(queued(desk, "prog"), "prog@desk.example<prog>, bob@x<prog>");
    EXPECT_EQ(queued(desk, "self"), "self@desk.example<self>, c@x<self>");
    EXPECT_EQ(queued(desk, "nobody"), "nobody@desk.example<nobody>");
    EXPECT_EQ(queued(desk, "root@x"), "root@x");
    const Cleaned circle = desk.clean(desk.sendmail("loop"), "");
    ASSERT_NE(circle.rejected(), nullptr);
    EXPECT_EQ(reply_text(*circle.rejected()), "4.6.0 Alias expansion error");
}

TEST(Rewriter, SendsTheRestToLuserRelay) {
    Desk desk;
    RewriteOptions& rewrite = desk.options.rewrite;
    rewrite.alias_maps = desk.tables("alias_maps", "inline:{root=ann@x}");
    rewrite.luser_relay = "all+${user}@gmail.example";
    EXPECT_EQ(queued(desk, "bob+q, root, c@z"), "all+bob@gmail.example<bob+q>, ann@x<root>, c@z");
    EXPECT_TRUE(*Rewriter(rewrite).has_alias(mail::Address("bob", "desk.example")));
    EXPECT_FALSE(*Rewriter(rewrite).has_alias(mail::Address("bob", "x")));
}

TEST(Rewriter, ExpandsVirtualAliasesWithinLimits) {
    Desk desk;
    RewriteOptions& rewrite = desk.options.rewrite;
    rewrite.virtual_alias_maps = desk.tables(
        "virtual_alias_maps",
        "inline:{{list@x=a@y, b@y, list@x}, a@y=c@z, @d=all@e, {wide@x=1@x,2@x,3@x,4@x,5@x,6@x}}");
    EXPECT_EQ(queued(desk, "list@x"), "list@x, b@y<list@x>, c@z<list@x>");
    EXPECT_EQ(queued(desk, "q@d"), "all@e<q@d>");
    rewrite.virtual_alias_expansion_limit = 5;
    const Cleaned wide = desk.clean(desk.sendmail("wide@x"), "");
    ASSERT_NE(wide.rejected(), nullptr);
    EXPECT_THAT(wide.log,
                Contains(HasSubstr("unreasonable virtual_alias_maps map expansion size "
                                   "for wide@x -- message not accepted, try again later")));
}

TEST(Rewriter, AddsBlindCopies) {
    Desk desk;
    RewriteOptions& rewrite = desk.options.rewrite;
    rewrite.always_bcc = "archive";
    rewrite.sender_bcc_maps = desk.tables("sender_bcc_maps", "inline:{ann@desk.example=s@x}");
    rewrite.recipient_bcc_maps = desk.tables("recipient_bcc_maps", "inline:{bob@x=r@x}");
    EXPECT_EQ(queued(desk, "bob@x"), "s@x, bob@x, r@x, archive@desk.example");
}

TEST(Rewriter, DropsDuplicatesWithoutRegardToCase) {
    Desk desk;
    EXPECT_EQ(queued(desk, "bob@x, BOB@X, bob@x, c@x"), "bob@x, c@x");
    desk.options.rewrite.alias_maps = desk.tables("alias_maps", "inline:{root=bob@x}");
    EXPECT_EQ(queued(desk, "bob@x, root"), "bob@x, bob@x<root>");
    desk.options.rewrite.enable_original_recipient = false;
    EXPECT_EQ(queued(desk, "bob@x, root"), "bob@x");
}

TEST(Rewriter, DefersWhenATableFails) {
    Desk desk;
    desk.options.rewrite.alias_maps = desk.tables("alias_maps", "fail:x");
    const Cleaned cleaned = desk.clean(desk.sendmail("root"), "");
    ASSERT_NE(cleaned.rejected(), nullptr);
    EXPECT_EQ(cleaned.rejected()->reply_code, 451);
    EXPECT_THAT(cleaned.log,
                Contains("cleanup: warning: CAA14A80218: alias_maps map lookup problem for "
                         "root@desk.example -- message not accepted, try again later"));
}

// O5: what a table says is taken whole or not at all. Nobody gets less mail for a mistake in it,
// and nothing goes to a place that cannot be written.
TEST(Rewriter, TakesNoResultThatIsNoAddressList) {
    constexpr const char* kBad[] = {
        "@",
        "@b@x.example",
        "@x.example, c@y.example",
        "@ x.example",
        "@x\ny.example",
        "@x.exa<mple",
        "@[192.0.2.1",
        "a@x.example, b\x01@y.example",
        "a@x\x7f.example",
        "b\x01",
        "<>",
        "list:;",
    };
    const auto longer = std::string(1000, 'x') + "@y.example, b@y.example";
    std::vector<std::string> values(std::begin(kBad), std::end(kBad));
    values.push_back(longer);
    for (const std::string& value : values) {
        const std::string tables = "static:{" + value + "}";
        const auto refused = [&](auto set) {
            Desk desk;
            set(desk, desk.options.rewrite);
            const Cleaned cleaned = desk.clean(desk.sendmail("bob@x.example, root"), "");
            EXPECT_EQ(cleaned.recipients(), "(not accepted)") << printable(value);
            ASSERT_NE(cleaned.rejected(), nullptr);
            EXPECT_EQ(cleaned.rejected()->reply_code, 451) << printable(value);
            EXPECT_THAT(cleaned.log, Contains(HasSubstr("returns no valid address list")));
        };
        refused([&](Desk& desk, RewriteOptions& rewrite) {
            rewrite.canonical_maps = desk.tables("canonical_maps", tables);
        });
        refused([&](Desk& desk, RewriteOptions& rewrite) {
            rewrite.recipient_canonical_maps = desk.tables("recipient_canonical_maps", tables);
        });
        refused([&](Desk& desk, RewriteOptions& rewrite) {
            rewrite.virtual_alias_maps = desk.tables("virtual_alias_maps", tables);
        });
        refused([&](Desk& desk, RewriteOptions& rewrite) {
            rewrite.recipient_bcc_maps = desk.tables("recipient_bcc_maps", tables);
        });
        refused([&](Desk& desk, RewriteOptions& rewrite) {
            rewrite.sender_bcc_maps = desk.tables("sender_bcc_maps", tables);
        });
    }
}

TEST(Rewriter, ControlTakesWhatIsOne) {
    for (const std::string value :
         {"@y.example", "a@x.example, b@y.example", "\"a b\"@[192.0.2.1]", "Bob <bob@y.example>"}) {
        Desk desk;
        desk.options.rewrite.recipient_bcc_maps =
            desk.tables("recipient_bcc_maps", "static:{" + value + "}");
        EXPECT_NE(desk.clean(desk.sendmail("bob@x.example"), "").accepted(), nullptr) << value;
    }
}

TEST(Rewriter, DefersWhereAnAliasIsNoAddressList) {
    Desk desk;
    desk.options.rewrite.alias_maps =
        desk.tables("alias_maps", "static:{ann@x.example, b\x01@y.example}");
    const Cleaned cleaned = desk.clean(desk.sendmail("root"), "");
    ASSERT_NE(cleaned.rejected(), nullptr);
    EXPECT_EQ(cleaned.rejected()->reply_code, 451);
}

// Rights of others: such an address is only ever a local part that nobody has.
TEST(Rewriter, NeverFollowsCommandsFilesOrIncludes) {
    for (const std::string value : {"\"|/bin/sh\"", "/etc/passwd", "\":include:/etc/passwd\"",
                                    "\"|/bin/sh\"@desk.example", "-oQ/tmp"}) {
        Desk desk;
        RewriteOptions& rewrite = desk.options.rewrite;
        rewrite.alias_maps = desk.tables("alias_maps", "static:{" + value + "}");
        const Cleaned aliased = desk.clean(desk.sendmail("root"), "");
        ASSERT_NE(aliased.accepted(), nullptr) << value;
        for (const auto& to : aliased.accepted()->envelope.recipients) {
            EXPECT_EQ(to.address.domain, "desk.example") << value;
        }
        rewrite.alias_maps = table::Tables();
        rewrite.virtual_alias_maps = desk.tables("virtual_alias_maps", "static:{" + value + "}");
        const Cleaned expanded = desk.clean(desk.sendmail("root"), "");
        ASSERT_NE(expanded.accepted(), nullptr) << value;
        for (const auto& to : expanded.accepted()->envelope.recipients) {
            EXPECT_EQ(to.address.domain, "desk.example") << value;
            EXPECT_EQ(mail::parse_address(mail::external(to.address)), to.address) << value;
        }
    }
}

}  // namespace
}  // namespace postrider::message
