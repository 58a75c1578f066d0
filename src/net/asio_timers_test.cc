#include "net/asio_timers.h"

#include <boost/asio/detached.hpp>
#include <gtest/gtest.h>

#include "net/manual_timers.h"
#include "net/run.h"
#include "net/task_group.h"
#include "net/until.h"

namespace postrider::net {
namespace {

using namespace std::chrono_literals;

Awaitable<void> record(LocalSignal& signal, MonotonicTime deadline,
                       std::vector<std::string>& into) {
    auto waited = co_await signal.wait(deadline);
    into.push_back(waited                                      ? "notified"
                   : waited.error().code == ErrorCode::Timeout ? "timeout"
                                                               : "cancelled");
}

Awaitable<void> sleep(Timers& timers, MonotonicTime when, std::vector<std::string>& into,
                      std::string name) {
    auto slept = co_await timers.sleep_until(when);
    into.push_back(name + (slept ? " woke" : " cancelled"));
}

class TimersTest : public testing::Test {
protected:
    void poll() {
        loop.restart();
        loop.poll();
    }

    boost::asio::io_context loop;
    CapturedLog log;
    ManualTimers timers{loop.get_executor()};
    TaskGroup tasks{loop.get_executor(), Log(log, "test")};
    std::vector<std::string> events;
};

TEST_F(TimersTest, ManualTimersWakeWhoIsDue) {
    tasks.spawn(sleep(timers, timers.now() + 2min, events, "late"), "late");
    tasks.spawn(sleep(timers, timers.now() + 1min, events, "early"), "early");
    poll();
    EXPECT_EQ(timers.sleepers(), 2u);
    EXPECT_EQ(timers.next_due(), timers.now() + 1min);

    timers.advance(1min);
    poll();
    EXPECT_EQ(events, (std::vector<std::string>{"early woke"}));

    tasks.cancel();
    poll();
    EXPECT_EQ(events, (std::vector<std::string>{"early woke", "late cancelled"}));
    EXPECT_EQ(timers.sleepers(), 0u);
}

TEST_F(TimersTest, ASignalBeforeTheWaitIsNotLost) {
    LocalSignal signal(loop.get_executor(), timers);
    signal.notify();
    signal.notify();

    tasks.spawn(record(signal, timers.now() + 1min, events), "first");
    poll();
    tasks.spawn(record(signal, timers.now() + 1min, events), "second");
    poll();
    EXPECT_EQ(events, (std::vector<std::string>{"notified"}));

    timers.advance(2min);
    poll();
    EXPECT_EQ(events, (std::vector<std::string>{"notified", "timeout"}));
}

TEST_F(TimersTest, ASignalEndsTheWait) {
    LocalSignal signal(loop.get_executor(), timers);
    tasks.spawn(record(signal, timers.now() + 1min, events), "deadline");
    poll();
    EXPECT_TRUE(events.empty());
    signal.notify();
    poll();
    tasks.spawn(record(signal, kNever, events), "none");
    poll();
    signal.notify();
    poll();

    EXPECT_EQ(events, (std::vector<std::string>{"notified", "notified"}));
    EXPECT_EQ(timers.sleepers(), 0u);
}

TEST_F(TimersTest, AWaitForASignalCanBeCancelled) {
    LocalSignal signal(loop.get_executor(), timers);
    tasks.spawn(record(signal, timers.now() + 1min, events), "task");
    poll();

    tasks.cancel();
    poll();

    EXPECT_EQ(events, (std::vector<std::string>{"cancelled"}));
}

TEST(AsioTimers, SleepsForRealTime) {
    boost::asio::io_context loop;
    const SystemClock clock;
    AsioTimers timers(loop.get_executor(), clock);
    const auto due = timers.now() + 3ms;

    EXPECT_TRUE(run(loop, timers.sleep_until(due)));

    EXPECT_GE(timers.now(), due);
}

}  // namespace
}  // namespace postrider::net
