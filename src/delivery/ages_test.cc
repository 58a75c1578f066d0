// RS5: an age is time that has passed.
#include "delivery/ages.h"

#include <gtest/gtest.h>

namespace postrider::delivery {
namespace {

using namespace std::chrono_literals;

constexpr auto kYear = std::chrono::hours{24 * 365};

Duration never_asleep() {
    return {};
}

TEST(Ages, LeaveOutWhatTheCalendarWasSetForward) {
    ManualClock clock;
    Ages ages(clock, never_asleep);
    const WallTime before = clock.now();
    clock.advance(1h);
    clock.set_wall(clock.now() + 10 * kYear);
    const WallTime after = clock.now();
    clock.advance(2h);

    EXPECT_EQ(ages.now_for(before) - before, 3h);
    EXPECT_EQ(ages.now_for(after) - after, 2h);
}

TEST(Ages, AreTheCalendarsWhenNothingJumps) {
    ManualClock clock;
    Ages ages(clock, never_asleep);
    const WallTime arrival = clock.now();
    clock.advance(6 * 24h);
    EXPECT_EQ(ages.now_for(arrival), clock.now());
}

TEST(Ages, CountTimeAsleep) {
    ManualClock clock;
    Duration slept{};
    Ages ages(clock, [&slept] { return slept; });
    const WallTime arrival = clock.now();
    slept = 8h;
    clock.set_wall(clock.now() + 8h);
    EXPECT_EQ(ages.now_for(arrival), arrival + 8h);
}

TEST(Ages, DoNotGrowWhenTheCalendarGoesBack) {
    ManualClock clock;
    Ages ages(clock, never_asleep);
    const WallTime arrival = clock.now();
    clock.set_wall(clock.now() - kYear);
    EXPECT_LT(ages.now_for(arrival), arrival);
    clock.set_wall(clock.now() + kYear);
    clock.advance(1h);
    // It is right again, which looks like a jump ahead: no age is more than the time that passed.
    EXPECT_LE(ages.now_for(arrival) - arrival, 1h);
}

TEST(Ages, DoNotBelieveAFreshCalendar) {
    ManualClock clock;
    const WallTime arrival = clock.now();
    clock.set_wall(clock.now() + 10 * kYear);  // Or was the machine switched off so long?
    Ages ages(clock, never_asleep);
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
    Ages ages(clock, never_asleep);
    clock.advance(9min);
    EXPECT_LE(ages.now_for(arrival), clock.now());
}

TEST(Ages, AreHandedOn) {
    ManualClock clock;
    Ages masters(clock, never_asleep);
    const WallTime arrival = clock.now();
    clock.advance(2h);
    clock.set_wall(clock.now() + kYear);
    masters.look();
    Ages couriers = masters;
    clock.advance(1h);
    EXPECT_EQ(couriers.now_for(arrival) - arrival, 3h);
}

TEST(Ages, RememberABoundedNumberOfJumps) {
    ManualClock clock;
    Ages ages(clock, never_asleep);
    const WallTime arrival = clock.now();
    for (int i = 0; i < 100; ++i) {
        clock.set_wall(clock.now() + kYear);
        (void)ages.now_for(arrival);
    }
    EXPECT_EQ(ages.now_for(arrival) - arrival, 0s);
}

}  // namespace
}  // namespace postrider::delivery
