#include "core/checksum.h"

#include <initializer_list>
#include <string>
#include <string_view>

#include <gtest/gtest.h>

namespace postrider {
namespace {

std::uint32_t checksum(std::initializer_list<std::string_view> pieces) {
    Checksum sum;
    for (const std::string_view piece : pieces) sum.add(piece);
    return sum.value();
}

// Stores made by every earlier version have these: they must never change.
TEST(Checksum, IsTheCrcOfZipFiles) {
    EXPECT_EQ(checksum({}), 0U);
    EXPECT_EQ(checksum({"123456789"}), 0xCBF43926U);
    EXPECT_EQ(checksum({std::string(32, '\0')}), 0x190A55ADU);
    EXPECT_EQ(checksum({std::string(100'000, 'x')}), 0xFE071171U);
}

TEST(Checksum, IsTheSameHoweverTheBytesCome) {
    std::string text;
    for (int i = 0; i < 1000; ++i) text += static_cast<char>(i * 7);
    for (std::size_t cut = 0; cut <= text.size(); ++cut) {
        const std::string_view all = text;
        EXPECT_EQ(checksum({all.substr(0, cut), "", all.substr(cut)}), checksum({all})) << cut;
    }
}

}  // namespace
}  // namespace postrider
