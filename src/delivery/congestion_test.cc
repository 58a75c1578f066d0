#include "delivery/congestion.h"

#include <gtest/gtest.h>

namespace postrider::delivery {
namespace {

using namespace std::chrono_literals;

class CongestionTest : public testing::Test {
protected:
    ConcurrencyOptions concurrency;
    RetryOptions retry;
    WallTime now{1000s};
    mail::Disposition reason;
};

TEST_F(CongestionTest, OpensWithTheInitialWindowWithinBothLimits) {
    concurrency.initial = 9;

    Congestion congestion(concurrency, retry, now);

    EXPECT_EQ(congestion.window(), 5U);
}

TEST_F(CongestionTest, AdmitsAsManyAsTheWindow) {
    concurrency.initial = 2;
    Congestion congestion(concurrency, retry, now);

    congestion.connected();
    congestion.started();
    EXPECT_TRUE(congestion.admits(now));
    congestion.started();
    EXPECT_FALSE(congestion.admits(now));
    congestion.ended();
    EXPECT_TRUE(congestion.admits(now));
}

TEST_F(CongestionTest, AdmitsOneUntilASessionHasComeAbout) {
    Congestion congestion(concurrency, retry, now);

    EXPECT_TRUE(congestion.admits(now));
    congestion.started();
    EXPECT_FALSE(congestion.admits(now));
    congestion.connected();

    EXPECT_TRUE(congestion.admits(now));
}

// RS6
TEST_F(CongestionTest, IsNotSuspendedForLongerBecauseTheClockWasSetBack) {
    concurrency.initial = 1;
    Congestion congestion(concurrency, retry, now);
    ASSERT_TRUE(congestion.failed(reason, now));

    EXPECT_NE(congestion.suspended(now + retry.minimal_backoff / 2), nullptr);
    EXPECT_EQ(congestion.suspended(now - 24h), nullptr);
    EXPECT_TRUE(congestion.admits(now - 24h));
}

TEST_F(CongestionTest, GrowsWithSuccessUpToTheLimit) {
    concurrency.initial = 1;
    Congestion congestion(concurrency, retry, now);

    for (int i = 0; i < 20; ++i) congestion.succeeded(now);

    EXPECT_EQ(congestion.window(), 5U);
}

TEST_F(CongestionTest, IsSuspendedWhenAWholeCohortFailed) {
    concurrency.initial = 2;
    concurrency.negative_feedback = 0;
    Congestion congestion(concurrency, retry, now);

    EXPECT_FALSE(congestion.failed(reason, now));
    EXPECT_EQ(congestion.suspended(now), nullptr);
    EXPECT_TRUE(congestion.failed(reason, now));

    EXPECT_NE(congestion.suspended(now), nullptr);
    EXPECT_EQ(congestion.next_attempt(), now + 300s);
}

TEST_F(CongestionTest, ProbesWithOneAfterASuspension) {
    concurrency.initial = 1;
    Congestion congestion(concurrency, retry, now);
    congestion.failed(reason, now);

    EXPECT_TRUE(congestion.admits(now + 300s));
    EXPECT_EQ(congestion.window(), 1U);
    EXPECT_TRUE(congestion.failed(reason, now + 301s));
    EXPECT_EQ(congestion.suspended(now + 601s), nullptr);
    concurrency.initial = 4;
    congestion.succeeded(now + 602s);
    EXPECT_EQ(congestion.window(), 4U);
}

TEST_F(CongestionTest, PausesAnAccountForDoublingTimesAndWarnsOnce) {
    Congestion congestion(concurrency, retry, now);

    EXPECT_TRUE(congestion.pause(reason, now));
    EXPECT_FALSE(congestion.pause(reason, now));
    EXPECT_EQ(congestion.next_attempt(), now + 300s);
    for (const auto expected : {600s, 1200s, 2400s, 3600s, 3600s}) {
        now = congestion.next_attempt();
        EXPECT_TRUE(congestion.admits(now));
        congestion.started();
        EXPECT_FALSE(congestion.admits(now)) << "one attempt per interval";
        EXPECT_FALSE(congestion.pause(reason, now));
        congestion.ended();
        EXPECT_EQ(congestion.next_attempt(), now + expected);
    }
    now = congestion.next_attempt();
    EXPECT_TRUE(congestion.admits(now));
    EXPECT_TRUE(congestion.succeeded(now)) << "over: to be said once";
    EXPECT_FALSE(congestion.succeeded(now));
    EXPECT_TRUE(congestion.pause(reason, now));
    EXPECT_EQ(congestion.next_attempt(), now + 300s);
}

TEST_F(CongestionTest, IsTriedAtOnceAfterAFlush) {
    Congestion congestion(concurrency, retry, now);
    congestion.pause(reason, now);

    congestion.flush(now);

    EXPECT_TRUE(congestion.admits(now));
    EXPECT_EQ(congestion.window(), 1U);
}

}  // namespace
}  // namespace postrider::delivery
