// A message that kills whoever handles it harms only itself (Q1).
#include <cstdlib>

#include <sys/wait.h>
#include <unistd.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "queue/testing/spool_test_world.h"

namespace postrider::queue {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::Kind;

class Suspects : public testing::SpoolOnDisk {
protected:
    /// A process that leases up to `limit` messages and dies of one of them.
    void crash_with(std::size_t limit) {
        spool_.reset();
        const pid_t child = ::fork();
        if (child == 0) {
            auto opened = try_open();
            if (!opened) ::_exit(2);
            if (!(*opened)->begin() || !(*opened)->lease_due(limit)) ::_exit(3);
            if (!(*opened)->commit_transaction()) ::_exit(4);
            ::_exit(0);
        }
        int status = 0;
        ::waitpid(child, &status, 0);
        EXPECT_EQ(status, 0);
        reopen();
    }
};

TEST_F(Suspects, AreLeasedOneAtATimeWhileOthersFlow) {
    const auto a = commit();
    const auto b = commit();
    crash_with(10);
    const auto c = commit();
    const auto d = commit();

    const auto leases = lease();

    ASSERT_EQ(leases.size(), 3U);
    EXPECT_EQ(leases[0].id, c);
    EXPECT_EQ(leases[1].id, d);
    EXPECT_EQ(leases[2].id, a);
    EXPECT_THAT(lease(), IsEmpty());
    EXPECT_FALSE(spool_->next_due()->has_value())
        << "one suspect is leased: nothing to wake up for";

    EXPECT_FALSE(settle(finish(leases[0], Kind::Sent)).others_due);
    EXPECT_TRUE(settle(finish(leases[2], Kind::Sent)).others_due);
    EXPECT_EQ(**spool_->next_due(), clock_.now());
    EXPECT_THAT(leased_ids(), ElementsAre(b.str()));
}

TEST_F(Suspects, OneThatEndsItsAttemptIsCleared) {
    const auto id = commit();
    crash_with(10);
    settle(finish(lease()[0], Kind::Deferred));
    EXPECT_THAT(lease(), IsEmpty());

    clock_.advance(std::chrono::minutes{6});
    crash_with(10);
    crash_with(10);

    EXPECT_NE(find(id)->place, ListedMessage::Place::Hold) << "two crashes since it was cleared";
}

TEST_F(Suspects, AfterThreeCrashesAMessageIsPutOnHoldAndTheOthersAreNot) {
    const auto poison = commit();
    crash_with(1);
    const auto innocent = commit();
    crash_with(1);
    EXPECT_EQ(find(poison)->place, ListedMessage::Place::Incoming);
    crash_with(1);

    EXPECT_EQ(find(poison)->place, ListedMessage::Place::Hold);
    EXPECT_THAT(lines_.lines(),
                Contains(HasSubstr(poison.str() + ": put on hold: the program has died 3 times")));
    EXPECT_THAT(lines_.lines(), Contains(HasSubstr("postsuper -H " + poison.str())));
    EXPECT_THAT(leased_ids(), ElementsAre(innocent.str()));
}

TEST_F(Suspects, ReleaseForgetsTheCrashes) {
    const auto poison = commit();
    for (int i = 0; i < 3; ++i) crash_with(1);
    EXPECT_EQ(operate(&Spool::release, poison), 1U);

    crash_with(1);
    crash_with(1);
    EXPECT_EQ(find(poison)->place, ListedMessage::Place::Deferred);
    crash_with(1);

    EXPECT_EQ(find(poison)->place, ListedMessage::Place::Hold);
}

TEST_F(Suspects, AnOrderlyStopIsNoCrash) {
    commit();
    for (int i = 0; i < 5; ++i) {
        EXPECT_EQ(lease().size(), 1U);
        reopen();
    }
    EXPECT_EQ(counts().hold, 0U);
    commit();
    EXPECT_EQ(lease().size(), 2U) << "and nobody is suspect";
}

TEST_F(Suspects, WithoutALimitNobodyIsPutOnHold) {
    crashes_max_ = 0;
    reopen();
    commit();
    for (int i = 0; i < 6; ++i) crash_with(1);
    EXPECT_EQ(counts().hold, 0U);
    EXPECT_EQ(lease().size(), 1U);
}

TEST_F(Suspects, ARemovedOneMakesRoomForTheNext) {
    const auto a = commit();
    const auto b = commit();
    crash_with(10);
    EXPECT_EQ(operate(&Spool::remove, a), 1U);
    EXPECT_THAT(leased_ids(), ElementsAre(b.str()));
}

TEST_F(Suspects, AHeldOneStandsInNobodysWay) {
    const auto a = commit();
    const auto b = commit();
    crash_with(10);
    EXPECT_EQ(operate(&Spool::hold, a), 1U);
    EXPECT_THAT(leased_ids(), ElementsAre(b.str()));
    EXPECT_EQ(operate(&Spool::release, a), 1U);
    EXPECT_THAT(leased_ids(), ElementsAre(a.str()));
}

}  // namespace
}  // namespace postrider::queue
