#include "net/task_group.h"

#include <list>
#include <stdexcept>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "net/event.h"
#include "net/run.h"
#include "net/until.h"

namespace postrider::net {
namespace {

using std::chrono::steady_clock;
using namespace std::chrono_literals;

class TaskGroupTest : public testing::Test {
protected:
    boost::asio::io_context loop;
    CapturedLog log;
    TaskGroup tasks{loop.get_executor(), Log(log, "test")};
    Event gate{loop.get_executor()};
};

Awaitable<void> wait_for(Event& event) {
    co_await event.wait(kNever);
}

Awaitable<void> fail() {
    throw std::runtime_error("the sky fell");
    co_return;
}

TEST_F(TaskGroupTest, LogsWhatEscapesWithTheNameOfTheTask) {
    tasks.spawn(fail(), "session 7");

    EXPECT_TRUE(run(loop, tasks.join(kNever)));
    EXPECT_THAT(log.lines(), testing::ElementsAre("test: error: session 7: the sky fell"));
}

TEST_F(TaskGroupTest, WhatEscapesFromAVitalTaskEndsTheProcess) {
    const auto go = [this] {
        tasks.spawn_vital(fail(), "courier");
        (void)run(loop, tasks.join(kNever));
    };
    EXPECT_EXIT(go(), testing::ExitedWithCode(70), "");
}

TEST_F(TaskGroupTest, JoinWaitsForTheLastTask) {
    tasks.spawn(wait_for(gate), "one");
    boost::asio::post(loop, [&] { gate.set(); });

    EXPECT_EQ(tasks.size(), 1u);
    EXPECT_TRUE(run(loop, tasks.join(steady_clock::now() + 1h)));
    EXPECT_TRUE(tasks.empty());
}

TEST_F(TaskGroupTest, JoinGivesUpAtItsDeadline) {
    tasks.spawn(wait_for(gate), "stubborn");

    auto joined = run(loop, tasks.join(steady_clock::now() + 2ms));

    ASSERT_FALSE(joined);
    EXPECT_EQ(joined.error().code, ErrorCode::Timeout);
    EXPECT_EQ(tasks.size(), 1u);
    tasks.cancel();
    EXPECT_TRUE(run(loop, tasks.join(kNever)));
}

TEST_F(TaskGroupTest, ManyTasksEndWhenCancelled) {
    std::list<Event> events;
    for (int i = 0; i < 1000; ++i) {
        tasks.spawn(wait_for(events.emplace_back(loop.get_executor())), "one of many");
    }
    loop.poll();

    tasks.cancel();

    EXPECT_TRUE(run(loop, tasks.join(steady_clock::now() + 10s)));
    EXPECT_TRUE(log.lines().empty());
}

TEST_F(TaskGroupTest, ItsEndCancelsWhatStillRuns) {
    auto short_lived = std::make_unique<TaskGroup>(loop.get_executor(), Log(log, "test"));
    short_lived->spawn(wait_for(gate), "orphan");
    loop.poll();

    short_lived.reset();

    loop.restart();
    loop.run();  // ends: nothing is left to wait for
}

}  // namespace
}  // namespace postrider::net
