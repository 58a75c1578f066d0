#include "net/until.h"

#include <list>

#include <gtest/gtest.h>

#include "net/event.h"
#include "net/run.h"
#include "net/task_group.h"

namespace postrider::net {
namespace {

using std::chrono::steady_clock;
using namespace std::chrono_literals;

Awaitable<Result<int>> soon() {
    co_return 7;
}

Awaitable<Result<int>> never(Event& event) {
    auto waited = co_await event.wait(kNever);
    if (!waited) co_return Unexpected(std::move(waited).error());
    co_return 1;
}

TEST(Until, ReturnsWhatEndsInTime) {
    boost::asio::io_context loop;

    auto result = run(loop, until(steady_clock::now() + 1h, soon()));

    ASSERT_TRUE(result);
    EXPECT_EQ(*result, 7);
}

TEST(Until, SaysTimeoutWhenTheDeadlinePasses) {
    boost::asio::io_context loop;
    Event event(loop.get_executor());

    auto result = run(loop, until(steady_clock::now() + 5ms, never(event)));

    ASSERT_FALSE(result);
    EXPECT_EQ(result.error().code, ErrorCode::Timeout);
}

TEST(Until, SaysCancelledWhenTheTaskIsCancelled) {
    boost::asio::io_context loop;
    CapturedLog log;
    Event event(loop.get_executor());
    TaskGroup tasks(loop.get_executor(), Log(log, "test"));
    std::vector<ErrorCode> seen;
    auto task = [](Event& wait, std::vector<ErrorCode>& into) -> Awaitable<void> {
        for (int i = 0; i < 2; ++i) {
            auto result = co_await until(steady_clock::now() + 1h, never(wait));
            into.push_back(result.error().code);
        }
    };
    tasks.spawn(task(event, seen), "task");
    loop.poll();
    ASSERT_TRUE(seen.empty());

    tasks.cancel();
    loop.restart();
    loop.poll();

    // The second wait began after the cancel, and ended at once, too.
    EXPECT_EQ(seen, (std::vector{ErrorCode::Cancelled, ErrorCode::Cancelled}));
    EXPECT_TRUE(tasks.empty());
}

// Waits for the event with a deadline, again and again, while others do the same.
Awaitable<void> contend(Event& event, int rounds, std::vector<int>& outcomes) {
    for (int i = 0; i < rounds; ++i) {
        const auto deadline = steady_clock::now() + std::chrono::microseconds(100 * (i % 5));
        auto result = co_await until(deadline, never(event));
        const bool timed_out = !result && result.error().code == ErrorCode::Timeout;
        ++outcomes[result ? 0 : (timed_out ? 1 : 2)];
        event.reset();
    }
}

Awaitable<void> stir(std::list<Event>& events, const bool& done) {
    boost::asio::steady_timer timer(co_await boost::asio::this_coro::executor);
    while (!done) {
        for (auto& event : events) event.set();
        timer.expires_after(std::chrono::microseconds(100));
        co_await timer.async_wait(boost::asio::as_tuple(boost::asio::use_awaitable));
    }
}

TEST(Until, DecidesOnceForEachOfManyThatRaceWithTheirDeadlines) {
    boost::asio::io_context loop;
    CapturedLog log;
    std::list<Event> stirred;
    std::list<Event> left_alone;
    TaskGroup tasks(loop.get_executor(), Log(log, "test"));
    TaskGroup stirring(loop.get_executor(), Log(log, "test"));
    std::vector<int> outcomes(3, 0);
    bool done = false;
    constexpr int kTasks = 25;
    constexpr int kRounds = 50;
    for (auto* events : {&stirred, &left_alone}) {
        for (int i = 0; i < kTasks; ++i) {
            Event& event = events->emplace_back(loop.get_executor());
            tasks.spawn(contend(event, kRounds, outcomes), "one of many");
        }
    }
    stirring.spawn(stir(stirred, done), "stir");

    ASSERT_TRUE(run(loop, tasks.join(steady_clock::now() + 60s)));
    done = true;
    ASSERT_TRUE(run(loop, stirring.join(steady_clock::now() + 60s)));

    EXPECT_EQ(outcomes[0] + outcomes[1], 2 * kTasks * kRounds);
    EXPECT_GT(outcomes[0], 0);
    EXPECT_GE(outcomes[1], kTasks * kRounds);
    EXPECT_EQ(outcomes[2], 0) << "nobody cancelled anything";
    EXPECT_TRUE(log.lines().empty());
}

}  // namespace
}  // namespace postrider::net
