#include "net/clock_watch.h"

#include <ctime>
#include <vector>

#include <boost/asio/co_spawn.hpp>
#include <gtest/gtest.h>

#include "net/run.h"

namespace postrider::net {
namespace {

using namespace std::chrono_literals;

TEST(ClockWatch, KnowsHowLongTheMachineHasSlept) {
    // It only grows, and the two clocks do not drift apart while the machine is awake.
    const Duration before = time_asleep();
    const Duration after = time_asleep();
    EXPECT_GE(before, -1ms);
    EXPECT_LT(after - before, 100ms);
}

/// Sets the calendar to what it is: a jump of nothing, for which the kernel wakes us all the same,
/// as it does at the end of a suspend.
bool jump_nowhere() {
    timespec now{};
    return ::clock_gettime(CLOCK_REALTIME, &now) == 0 && ::clock_settime(CLOCK_REALTIME, &now) == 0;
}

TEST(ClockWatch, SaysHowLongASuspendWas) {
    boost::asio::io_context loop;
    Duration asleep = 5h;
    auto watch = ClockWatch::open(loop.get_executor(), [&asleep] { return asleep; });
    ASSERT_TRUE(watch) << watch.error().message;
    std::vector<Duration> told;
    auto listen = [](ClockWatch& to, std::vector<Duration>& into) -> Awaitable<void> {
        for (;;) {
            const auto slept = co_await to.next();
            if (!slept) co_return;
            into.push_back(*slept);
        }
    };
    boost::asio::co_spawn(loop, listen(**watch, told), [](std::exception_ptr) {});
    loop.run_for(50ms);
    EXPECT_TRUE(told.empty());

    asleep += 40min;
    if (!jump_nowhere()) GTEST_SKIP() << "this account may not set the clock";
    loop.run_for(50ms);
    EXPECT_EQ(told, (std::vector<Duration>{40min}));

    // Somebody set the clock, and nobody slept.
    ASSERT_TRUE(jump_nowhere());
    loop.run_for(50ms);
    EXPECT_EQ(told, (std::vector<Duration>{40min, 0min}));
}

}  // namespace
}  // namespace postrider::net
