#include "queue/backoff.h"

#include <gtest/gtest.h>

namespace postrider::queue {
namespace {

using std::chrono::seconds;

TEST(Backoff, WaitsAsLongAsTheMessageIsOldWithinBounds) {
    struct Case {
        int age;
        int wait;
    };
    const Case cases[] = {{0, 300},     {299, 300},   {300, 300},      {301, 301},
                          {1200, 1200}, {4000, 4000}, {1000000, 4000}, {-3600, 300}};
    const WallTime now{seconds{1795356000}};
    for (const Case& each : cases) {
        EXPECT_EQ(next_attempt(now - seconds{each.age}, now, Backoff()) - now, seconds{each.wait})
            << each.age;
    }
}

TEST(Backoff, PrefersTheLargerOfContradictoryBounds) {
    Backoff backoff;
    backoff.minimal = seconds{600};
    backoff.maximal = seconds{60};
    const WallTime now{seconds{1795356000}};
    EXPECT_EQ(next_attempt(now - seconds{300}, now, backoff), now + seconds{600});
}

}  // namespace
}  // namespace postrider::queue
