#include "mail/address.h"

#include <gtest/gtest.h>

namespace postrider::mail {

TEST(Address, ReadsAndWritesTheSameText) {
    for (const char* text : {"ann@desk.example", "ann", "\"a b\"@x.example", "\"a@b\"@x.example",
                             "\"quo\\\"te\"@x", "u@[192.0.2.1]", "\"\"@x.example", ""}) {
        const auto address = parse_address(text);
        ASSERT_TRUE(address) << text;
        EXPECT_EQ(external(*address), text);
    }
}

TEST(Address, QuotesOnlyWhereItMust) {
    EXPECT_EQ(external(Address("a.b+c", "x")), "a.b+c@x");
    EXPECT_EQ(external(Address(".a", "x")), "\".a\"@x");
    EXPECT_EQ(external(*parse_address("\"plain\"@x")), "plain@x");
}

TEST(Address, RefusesWhatCannotBeOne) {
    for (const char* text : {"a\nb@x", "\"open@x", "@x", "a\\", "tab\there@x",
                             // What stands quoted behind the last `@` would be written bare.
                             "a@b\"@\"c", "a@b\\ c", "a@[1", "a@[1]]", "a@b,c"}) {
        EXPECT_FALSE(parse_address(text)) << text;
    }
}

}  // namespace postrider::mail
