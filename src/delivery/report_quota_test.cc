#include "delivery/report_quota.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace postrider::delivery {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::IsEmpty;

constexpr MonotonicTime kStart{std::chrono::hours(100)};

TEST(ReportQuota, AdmitsSoManyAnInterval) {
    ReportQuota quota(2, 1h);
    EXPECT_TRUE(quota.admit("ann", kStart));
    EXPECT_TRUE(quota.admit("ann", kStart + 30min));
    EXPECT_FALSE(quota.admit("ann", kStart + 59min));
    EXPECT_TRUE(quota.admit("bob", kStart + 59min)) << "each sender has a count of his own";
    EXPECT_TRUE(quota.admit("ann", kStart + 60min)) << "nothing was left out, so it begins anew";
}

TEST(ReportQuota, OwesASummaryWhenTheIntervalEnds) {
    ReportQuota quota(1, 1h);
    EXPECT_TRUE(quota.admit("ann", kStart));
    EXPECT_FALSE(quota.next_due());
    EXPECT_FALSE(quota.admit("ann", kStart + 1min));
    quota.owe("ann", kStart + 1min);
    EXPECT_EQ(quota.next_due(), kStart + 60min);
    EXPECT_THAT(quota.due(kStart + 59min), IsEmpty());
    EXPECT_THAT(quota.due(kStart + 60min), ElementsAre("ann"));
    EXPECT_FALSE(quota.admit("ann", kStart + 61min)) << "it goes into the same summary";
}

TEST(ReportQuota, GoesOnWithSummariesUntilNothingFailsForAnInterval) {
    ReportQuota quota(1, 1h);
    EXPECT_TRUE(quota.admit("ann", kStart));
    quota.owe("ann", kStart);
    quota.begin_summary("ann", kStart + 60min);
    EXPECT_FALSE(quota.next_due());
    EXPECT_FALSE(quota.admit("ann", kStart + 90min));
    quota.owe("ann", kStart + 90min);
    EXPECT_THAT(quota.due(kStart + 120min), ElementsAre("ann"));
    quota.begin_summary("ann", kStart + 120min);
    EXPECT_TRUE(quota.admit("ann", kStart + 180min));
}

TEST(ReportQuota, TakesUpWhatAnotherProcessOwed) {
    ReportQuota quota(5, 1h);
    quota.owe("ann", kStart + 10min);
    EXPECT_FALSE(quota.admit("ann", kStart));
    EXPECT_THAT(quota.due(kStart + 10min), ElementsAre("ann"));
}

TEST(ReportQuota, TriesAgainWhatCouldNotBeMade) {
    ReportQuota quota(1, 1h);
    quota.owe("ann", kStart);
    quota.begin_summary("ann", kStart);
    quota.put_off_summary("ann", kStart + 30s);
    EXPECT_EQ(quota.next_due(), kStart + 30s);
    EXPECT_THAT(quota.due(kStart + 30s), ElementsAre("ann"));
}

TEST(ReportQuota, WithoutALimitEverythingIsReported) {
    ReportQuota quota(0, 1h);
    for (int i = 0; i < 1000; ++i) EXPECT_TRUE(quota.admit("ann", kStart));
}

TEST(ReportQuota, IsBounded) {
    ReportQuota quota(1, 1h);
    for (std::size_t i = 0; i < ReportQuota::kSendersMax; ++i) {
        EXPECT_TRUE(quota.admit(std::to_string(i), kStart));
    }
    EXPECT_TRUE(quota.admit("ann", kStart + 1min));
    EXPECT_TRUE(quota.admit("ann", kStart + 1min)) << "not counted: there is no room";
    EXPECT_TRUE(quota.admit("ann", kStart + 1h));
    EXPECT_FALSE(quota.admit("ann", kStart + 1h)) << "the others' intervals are over";
}

}  // namespace
}  // namespace postrider::delivery
