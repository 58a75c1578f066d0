#include "control/client.h"

#include <gtest/gtest.h>

namespace postrider::control {
namespace {

TEST(LastLine, IsTheOneThatSaysHowItEnded) {
    for (const char* line : {R"({"message": {"id": "8DC08A800E0"}})", R"({"content": "eA=="})",
                             R"({"changed": "8DC08A800E0"})", R"({"status": {"up": 7}})", "{}"}) {
        EXPECT_FALSE(parse_last_line(line).is_last) << line;
    }
    const LastLine done = parse_last_line(R"({"done": 2})");
    ASSERT_TRUE(done.is_last && done.result);
    EXPECT_EQ(*done.result, 2U);
}

TEST(LastLine, TellsARefusalFromAMistake) {
    const LastLine refusal = parse_last_line(R"({"error": "not you", "denied": true})");
    ASSERT_TRUE(refusal.is_last && !refusal.result);
    EXPECT_EQ(refusal.result.error().code, ErrorCode::Denied);
    EXPECT_EQ(refusal.result.error().message, "not you");
    const LastLine mistake = parse_last_line(R"({"error": "malformed", "denied": false})");
    ASSERT_TRUE(mistake.is_last && !mistake.result);
    EXPECT_EQ(mistake.result.error().code, ErrorCode::Invalid);
    EXPECT_EQ(parse_last_line(R"({"error": "malformed"})").result.error().code, ErrorCode::Invalid);
}

TEST(LastLine, IsAnythingThatIsNoAnswer) {
    for (const char* line :
         {"", "[]", "null", "7", "{\"done\": 2", "\xff", R"({"error": "x", "denied": "y"})"}) {
        const LastLine last = parse_last_line(line);
        EXPECT_TRUE(last.is_last) << line;
        EXPECT_FALSE(last.result) << line;
    }
}

}  // namespace
}  // namespace postrider::control
