// RS5: an age is time that has passed.
#include "delivery/ages.h"

#include <gtest/gtest.h>

namespace postrider::delivery {
namespace {

using namespace std::chrono_literals;

constexpr auto kYear = std::chrono::hours{24 * 365};

TEST(Ages, LeaveOutWhatTheCalendarWasSetForward) {
    ManualClock clock;
    Ages ages(clock);
    const WallTime before = clock.now();
    clock.advance(1h);
    clock.set_wall(clock.now() + 10 * kYear);
    const WallTime after = clock.now();
    clock.advance(2h);

    EXPECT_NEAR(double((ages.now_for(before) - before) / 1s), 3 * 3600, 1);
    EXPECT_NEAR(double((ages.now_for(after) - after) / 1s), 2 * 3600, 1);
}

TEST(Ages, AreTheCalendarsWhenNothingJumps) {
    ManualClock clock;
    Ages ages(clock);
    const WallTime arrival = clock.now();
    clock.advance(6 * 24h);
    EXPECT_EQ(ages.now_for(arrival), clock.now());
}

TEST(Ages, DoNotGrowWhenTheCalendarGoesBack) {
    ManualClock clock;
    Ages ages(clock);
    const WallTime arrival = clock.now();
    clock.set_wall(clock.now() - kYear);
    EXPECT_LT(ages.now_for(arrival), arrival);
    clock.set_wall(clock.now() + kYear);
    clock.advance(1h);
    // It is right again, which looks like a jump ahead: no age is more than the time that passed.
    EXPECT_LE(ages.now_for(arrival) - arrival, 1h + 1s);
}

TEST(Ages, DoNotBelieveAFreshCalendar) {
    ManualClock clock;
    const WallTime arrival = clock.now();
    clock.set_wall(clock.now() + 10 * kYear);  // Or was the machine switched off so long?
    Ages ages(clock);
    EXPECT_EQ(ages.now_for(arrival), arrival);
    clock.advance(5min);
    EXPECT_EQ(ages.now_for(arrival), arrival + 5min);
    EXPECT_EQ(ages.now_for(clock.now()), clock.now()) << "what came since then has its own age";

    clock.advance(5min);
    EXPECT_EQ(ages.now_for(arrival), clock.now()) << "it was: nobody has set the calendar right";
}

TEST(Ages, DoNotBecomeLargerWhileTheyAreInDoubt) {
    ManualClock clock;
    const WallTime arrival = clock.now();
    clock.advance(5min);
    Ages ages(clock);
    clock.advance(9min);
    EXPECT_LE(ages.now_for(arrival), clock.now());
}

TEST(Ages, AreHandedOn) {
    ManualClock clock;
    Ages masters(clock);
    const WallTime arrival = clock.now();
    clock.advance(2h);
    clock.set_wall(clock.now() + kYear);
    masters.look();
    Ages couriers = masters;
    clock.advance(1h);
    EXPECT_NEAR(double((couriers.now_for(arrival) - arrival) / 1s), 3 * 3600, 1);
}

TEST(Ages, RememberABoundedNumberOfJumps) {
    ManualClock clock;
    Ages ages(clock);
    const WallTime arrival = clock.now();
    for (int i = 0; i < 100; ++i) {
        clock.set_wall(clock.now() + kYear);
        (void)ages.now_for(arrival);
    }
    EXPECT_NEAR(double((ages.now_for(arrival) - arrival) / 1s), 0, 1);
}

}  // namespace
}  // namespace postrider::delivery
