#include "net/event.h"

#include <gtest/gtest.h>

#include "net/run.h"
#include "net/task_group.h"
#include "net/until.h"

namespace postrider::net {
namespace {

Awaitable<void> wait_for(Event& event, std::optional<Result<void>>& into) {
    into = co_await event.wait(kNever);
}

TEST(Event, WakesWhoWaitsEvenIfItIsResetAtOnce) {
    boost::asio::io_context loop;
    CapturedLog log;
    Event event(loop.get_executor());
    TaskGroup tasks(loop.get_executor(), Log(log, "test"));
    std::optional<Result<void>> outcome;
    tasks.spawn(wait_for(event, outcome), "wait");
    loop.poll();

    event.set();
    event.reset();
    loop.restart();
    loop.poll();

    ASSERT_TRUE(outcome);
    EXPECT_TRUE(outcome->has_value());
    EXPECT_FALSE(event.is_set());
}

TEST(Event, DoesNotMakeWaitWhoComesWhenItIsSet) {
    boost::asio::io_context loop;
    Event event(loop.get_executor());

    event.set();

    EXPECT_TRUE(run(loop, event.wait(kNever)));
    EXPECT_TRUE(run(loop, event.wait(kNever)));
    event.reset();
    EXPECT_EQ(run(loop, event.wait(MonotonicTime::min())).error().code, ErrorCode::Timeout);
}

}  // namespace
}  // namespace postrider::net
