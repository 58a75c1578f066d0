#include "message/address_list.h"

#include <algorithm>

#include <gtest/gtest.h>

namespace postrider::message {
namespace {

std::string addresses(std::string_view text) {
    std::string result;
    for (const mail::Address& address : parse_address_list(text)) {
        if (!result.empty()) result += " | ";
        result += mail::external(address);
    }
    return result;
}

TEST(AddressList, FindsTheAddressesInWhateverStandsAroundThem) {
    const std::pair<const char*, const char*> cases[] = {
        {"", ""},
        {"a@x", "a@x"},
        {"a@x, Bob <b@y>", "a@x | b@y"},
        {"a@x,b@y,c@z", "a@x | b@y | c@z"},
        {"a b", "a | b"},
        {"root (Cron Daemon)", "root"},
        {"(x (nested) \\) y) root (z)", "root"},
        {"Anacron <alice>", "alice"},
        {"Johnny B. Goode <j@d>, x", "j@d | x"},
        {"undisclosed-recipients:;", ""},
        {"Friends: a@x, B <b@y>; c@z", "a@x | b@y | c@z"},
        {"<>", ""},
        {"<@a,@b:u@c>", "u@c"},
        {"\"a b\"@x", "\"a b\"@x"},
        {"\"a\"@x", "a@x"},
        {"\"Doe, John\" <j@x>", "j@x"},
        {"u@[192.0.2.1]", "u@[192.0.2.1]"},
        {"a . b @ x . y", "a.b@x.y"},
        {"=?utf-8?Q?J=C3=B6rg?= <j@x>", "j@x"},
        {"j\xc3\xb6rg@x", "j\xc3\xb6rg@x"},
        {"a@x,\n\tb@y", "a@x | b@y"},
        {"<a@x", "\"<a\"@x"},
        {"a@x>", "a@x"},
        {"\"a@x", "\"a@x\""},
        {"site!user", "site!user"},
        {"a\x01@x, b@x", "b@x"},
        {"@, \"\", b@x", "b@x"},
        {"a@\"b, c@d\", b@x", "b@x"},
        {"a@[x\\]y], b@x", "b@x"},
        {"a@\"[x]y\", a@\"y[x]\", a@\"[]\", b@x", "a@[] | b@x"},
        {"a@[x]:y, b@x", "b@x"},
    };
    for (const auto& [text, expected] : cases) EXPECT_EQ(addresses(text), expected) << text;
}

TEST(AddressList, IsWrittenAgainWithAddressesChanged) {
    const std::pair<const char*, const char*> cases[] = {
        {"root (Cron Daemon)", "root@h (Cron Daemon)"},
        {"Anacron <alice>", "Anacron <alice@h>"},
        {"\"Q. Tip\" <c>, d", "\"Q. Tip\" <c@h>,\nd@h"},
        {"friends: d, e;, f", "friends: d@h,\ne@h;,\nf@h"},
        {"a b", "a@h,\nb@h"},
        {"(c\n d) a", "a@h (c d)"},
        {"b: c <d>", "\"b:\"@h,\nc <d@h>"},
    };
    for (const auto& [text, expected] : cases) {
        AddressList list(text);
        for (std::size_t i = 0; i < list.size(); ++i) {
            list.replace(i, mail::Address(list.address(i).local_part, "h"));
        }
        EXPECT_EQ(list.text(), expected);
    }
}

TEST(AddressList, IsWrittenTheSameTwice) {
    for (const std::string text : {"a@x (comment", "a@x (com\\", "\\\n <a@x>", "a@x ((com\\)",
                                   "a@x \"b\\", "[p\\\\q] <a@x>", "[p\\]q] <a@x>", "[p\\"}) {
        const std::string once = AddressList(text).text();
        EXPECT_EQ(AddressList(once).text(), once) << text;
    }
}

bool same_addresses(const AddressList& a, const AddressList& b) {
    bool same = a.size() == b.size();
    for (std::size_t i = 0; same && i < a.size(); ++i) same = a.address(i) == b.address(i);
    return same;
}

TEST(AddressList, EachTextOfFiveSignsIsWrittenSoThatItReadsTheSame) {
    constexpr std::string_view signs = "a@:;<>[]\"\\";
    constexpr int length = 5;
    int well_formed = 0;
    for (int number = 0; number < 100'000; ++number) {
        std::string text;
        for (int i = 0, rest = number; i < length; ++i, rest /= 10) {
            text += signs[static_cast<std::size_t>(rest % 10)];
        }
        const AddressList list(text);
        if (!list.is_well_formed()) continue;
        ++well_formed;
        const std::string written = list.text();
        const AddressList again(written);
        ASSERT_TRUE(same_addresses(again, list)) << text << "\n" << written;
        ASSERT_EQ(again.text(), written) << text;
    }
    EXPECT_GT(well_formed, 50'000);
}

TEST(AddressList, StopsAtItsLimitOfTokens) {
    EXPECT_EQ(AddressList("a,b,c,d", 3).size(), 2U);
}

TEST(AddressList, TakesDeepNestingWithoutAStack) {
    const std::string deep(100000, '(');
    EXPECT_EQ(AddressList(deep + "a@x").size(), 0U);
    EXPECT_EQ(AddressList(std::string(100000, '<') + "a@x", 1000000).size(), 1U);
    EXPECT_FALSE(AddressList(std::string(100000, 'a')).is_well_formed());
}

}  // namespace
}  // namespace postrider::message
