#include "message/full_name.h"

#include <algorithm>

#include <gtest/gtest.h>

namespace postrider::message {
namespace {

TEST(FullName, IsAPhrase) {
    EXPECT_EQ(phrase("Ann Example", "utf-8"), "Ann Example");
    EXPECT_EQ(phrase("Ann E.", "utf-8"), "\"Ann E.\"");
    EXPECT_EQ(phrase("a\x01"
                     "b",
                     "utf-8"),
              "a b");
    EXPECT_EQ(phrase("J\xc3\xb6rg (x)", "utf-8"), "=?utf-8?Q?J=C3=B6rg_=28x=29?=");
    EXPECT_EQ(phrase(" \t ", "utf-8"), "");
    EXPECT_EQ(comment("a(b)\\", "utf-8"), "a\\(b\\)\\\\");
}

TEST(FullName, BreaksLongEncodedWordsBetweenCharacters) {
    std::string name;
    for (int i = 0; i < 40; ++i) name += "\xe2\x82\xac";
    const std::string text = phrase(name, "utf-8");
    std::size_t start = 0;
    std::size_t characters = 0;
    while (start < text.size()) {
        const std::size_t end = std::min(text.find('\n', start), text.size());
        const std::string word = text.substr(start, end - start);
        EXPECT_LE(word.size(), 75U);
        EXPECT_EQ((word.size() - 12) % 9, 0U);
        characters += (word.size() - 12) / 9;
        start = end + 1;
    }
    EXPECT_EQ(characters, 40U);
}

}  // namespace
}  // namespace postrider::message
