#include "delivery/congestion.h"

#include <gtest/gtest.h>

namespace postrider::delivery {
namespace {

class CongestionTest : public testing::Test {
protected:
    ConcurrencyOptions concurrency;
    MonotonicTime now{std::chrono::hours(1)};
};

TEST_F(CongestionTest, OpensWithTheInitialWindowWithinBothLimits) {
    concurrency.initial = 9;

    Congestion congestion(concurrency);

    EXPECT_EQ(congestion.window(), 5U);
}

TEST_F(CongestionTest, AdmitsAsManyAsTheWindow) {
    concurrency.initial = 2;
    Congestion congestion(concurrency);

    congestion.connected();
    congestion.started(now);
    EXPECT_TRUE(congestion.admits(now));
    congestion.started(now);
    EXPECT_FALSE(congestion.admits(now));
    congestion.ended();
    EXPECT_TRUE(congestion.admits(now));
}

TEST_F(CongestionTest, AdmitsOneUntilASessionHasComeAbout) {
    Congestion congestion(concurrency);

    EXPECT_TRUE(congestion.admits(now));
    congestion.started(now);
    EXPECT_FALSE(congestion.admits(now));
    congestion.connected();

    EXPECT_TRUE(congestion.admits(now));
}

// U16: a server that accepts and says nothing holds up one, not all.
TEST_F(CongestionTest, WaitsForTheFirstSessionNoLongerThanItsHeadStart) {
    Congestion congestion(concurrency);

    congestion.started(now);
    EXPECT_EQ(congestion.head_start_ends(now), now + Congestion::kHeadStart);
    EXPECT_FALSE(congestion.admits(now + Congestion::kHeadStart - std::chrono::milliseconds(1)));

    EXPECT_TRUE(congestion.admits(now + Congestion::kHeadStart));
    EXPECT_EQ(congestion.head_start_ends(now + Congestion::kHeadStart), MonotonicTime::max());
}

TEST_F(CongestionTest, GrowsWithSuccessUpToTheLimit) {
    concurrency.initial = 1;
    Congestion congestion(concurrency);

    for (int i = 0; i < 20; ++i) congestion.succeeded();

    EXPECT_EQ(congestion.window(), 5U);
}

TEST_F(CongestionTest, GivesUpWhenAWholeCohortFailed) {
    concurrency.initial = 2;
    concurrency.negative_feedback = 0;
    Congestion congestion(concurrency);

    EXPECT_FALSE(congestion.failed());
    EXPECT_TRUE(congestion.failed());
    EXPECT_EQ(congestion.window(), 1U);
}

TEST_F(CongestionTest, ProbesWithOneAfterGivingUp) {
    concurrency.initial = 4;
    concurrency.failed_cohort_limit = 0.1;
    Congestion congestion(concurrency);
    EXPECT_TRUE(congestion.failed());

    EXPECT_EQ(congestion.window(), 1U);
    EXPECT_TRUE(congestion.failed());
    congestion.succeeded();
    EXPECT_EQ(congestion.window(), 4U);
}

}  // namespace
}  // namespace postrider::delivery
