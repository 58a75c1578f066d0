#include "core/ascii.h"

#include <gtest/gtest.h>

namespace postrider {

TEST(Ascii, ComparesWithoutRegardToCase) {
    EXPECT_TRUE(equals_ignoring_case("EHLO", "ehlo"));
    EXPECT_FALSE(equals_ignoring_case("EHLO", "ehl"));
    EXPECT_TRUE(starts_with_ignoring_case("Mail From:<>", "MAIL FROM:"));
}

TEST(Ascii, TrimsWhiteSpaceAtBothEnds) {
    EXPECT_EQ(trimmed(" \t a b\r\n"), "a b");
    EXPECT_EQ(trimmed(" "), "");
}

TEST(Ascii, KnowsWellFormedUtf8) {
    struct Row {
        std::string_view text;
        bool valid;
    };
    for (const Row& row :
         {Row{"plain", true}, Row{"\xc3\xa9", true}, Row{"\xe2\x82\xac", true},
          Row{"\xf0\x9f\x98\x80", true}, Row{"\xc0\xaf", false}, Row{"\xe0\x80\xaf", false},
          Row{"\xed\xa0\x80", false}, Row{"\xf5\x80\x80\x80", false}, Row{"\xc3", false},
          Row{"\x80", false}}) {
        EXPECT_EQ(is_utf8(row.text), row.valid) << row.text;
    }
}

TEST(Ascii, SeesAByteAboveWhereverItStands) {
    for (std::size_t size = 0; size < 20; ++size) {
        EXPECT_TRUE(is_ascii(std::string(size, '\x7f'))) << size;
        for (std::size_t at = 0; at < size; ++at) {
            std::string text(size, 'a');
            text[at] = '\x80';
            EXPECT_FALSE(is_ascii(text)) << size << " " << at;
        }
    }
}

}  // namespace postrider
