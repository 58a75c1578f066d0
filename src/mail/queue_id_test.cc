#include "mail/queue_id.h"

#include <gtest/gtest.h>

namespace postrider::mail {

TEST(QueueId, LooksLikePostfixs) {
    const WallTime created = WallTime(std::chrono::microseconds(1795356695'580544));

    EXPECT_EQ(QueueId::make_short(created, 0xA800E0).str(), "8DBC0A800E0");
    EXPECT_EQ(QueueId::make_long(created, 51).str().substr(10), "z10");
    EXPECT_TRUE(QueueId::make_long(created, 51).is_long());
    EXPECT_FALSE(QueueId::make_short(created, 51).is_long());
}

TEST(QueueId, RefusesNamesThatWouldBePaths) {
    for (const char* text : {"", "../x", "A B", "A*"}) EXPECT_FALSE(QueueId::parse(text)) << text;
    EXPECT_TRUE(QueueId::parse("8DC08A800E0"));
}

}  // namespace postrider::mail
