#include "message/content_writer.h"

#include <gtest/gtest.h>

namespace postrider::message {
namespace {

std::uint64_t size_of(std::initializer_list<std::size_t> lines) {
    ContentWriter writer(2048);
    for (const std::size_t length : lines) writer.line(std::string(length, 'x'));
    return writer.size();
}

TEST(ContentWriter, CountsAsPostfixDoes) {
    EXPECT_EQ(size_of({28, 22, 11, 26, 43, 0, 5, 4}), 155U);
    EXPECT_EQ(size_of({127}), 129U);
    EXPECT_EQ(size_of({128}), 131U);
    EXPECT_EQ(size_of({2048}), 2051U);
    EXPECT_EQ(size_of({2049}), 2051U + 3U);
    EXPECT_EQ(size_of({5000}), 2051U + 2051U + 904U + 3U);
}

TEST(ContentWriter, CountsOverAllThatWasTaken) {
    ContentWriter writer(2048);
    writer.line("one");
    EXPECT_EQ(writer.take(), "one\r\n");
    writer.write("tw\xc3\xb6", false);
    EXPECT_TRUE(writer.is_line_open());
    writer.write("!", true);
    EXPECT_EQ(writer.take(), "tw\xc3\xb6!\r\n");
    EXPECT_EQ(writer.length(), 12U);
    EXPECT_EQ(writer.longest_line(), 5U);
    EXPECT_TRUE(writer.has_8bit());
    writer.stop();
    writer.line("x");
    EXPECT_EQ(writer.pending(), 0U);
}

}  // namespace
}  // namespace postrider::message
