#include "net/until.h"

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

}  // namespace
}  // namespace postrider::net
