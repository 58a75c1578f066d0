#include "intake/slots.h"

#include <memory>
#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace postrider::intake {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr std::uint64_t kRate = 1000;
const MonotonicTime kStart{std::chrono::hours{1}};

struct Guest {
    Guest(Slots& slots, std::string name, std::vector<std::string>& gone)
        : slot(slots, std::move(name)) {
        slot.on_farewell([this, &gone](Farewell why) {
            gone.push_back(why == Farewell::Slow ? "slow" : "retiring");
            told = true;
        });
        slot.wait_begins(kStart);
    }
    Slot slot;
    bool told = false;
};

class SlotsTest : public testing::Test {
protected:
    Guest& enter(const std::string& name) {
        guests.push_back(std::make_unique<Guest>(slots, name, gone));
        return *guests.back();
    }

    Slots slots{3, kRate};
    std::vector<std::string> gone;
    std::vector<std::unique_ptr<Guest>> guests;
};

TEST_F(SlotsTest, NobodyIsDisturbedWhileThereIsRoom) {
    enter("a");
    enter("a");
    EXPECT_TRUE(slots.make_room(kStart + seconds(1000)));
    EXPECT_TRUE(gone.empty());
    EXPECT_EQ(slots.count_of("a"), 2U);
}

TEST_F(SlotsTest, NobodyIsTurnedOutInItsFirstSecond) {
    for (const auto* name : {"a", "b", "c"}) enter(name);
    EXPECT_FALSE(slots.make_room(kStart + milliseconds(999)));
    EXPECT_TRUE(slots.make_room(kStart + seconds(1)));
    EXPECT_EQ(slots.size(), 2U);
}

TEST_F(SlotsTest, TheOneThatLagsMostMakesRoom) {
    Guest& quick = enter("quick");
    Guest& silent = enter("silent");
    Guest& dribbling = enter("dribbling");
    // A byte a second is worth a millisecond each.
    for (int i = 1; i <= 20; ++i) {
        dribbling.slot.wait_ended(kStart + seconds(i), 1);
        dribbling.slot.wait_begins(kStart + seconds(i));
        quick.slot.wait_ended(kStart + seconds(i), kRate);
        quick.slot.wait_begins(kStart + seconds(i));
    }
    const MonotonicTime now = kStart + seconds(20);
    EXPECT_TRUE(slots.make_room(now));
    EXPECT_TRUE(silent.told);
    enter("new").slot.wait_ended(now, 0);
    EXPECT_TRUE(slots.make_room(now));
    EXPECT_TRUE(dribbling.told);
    enter("newer").slot.wait_ended(now, 0);
    EXPECT_FALSE(slots.make_room(now)) << "whoever keeps the rate stays";
    EXPECT_FALSE(quick.told);
}

TEST_F(SlotsTest, TimeThatTheQueueTakesIsNotTheClients) {
    Guest& waits_for_us = enter("a");
    waits_for_us.slot.wait_ended(kStart, 100);
    enter("b").slot.wait_ended(kStart, 100);
    enter("c").slot.wait_ended(kStart, 100);
    EXPECT_FALSE(slots.make_room(kStart + std::chrono::hours(1)));
}

TEST_F(SlotsTest, AMessageClearsTheAccount) {
    Guest& slow = enter("slow");
    slow.slot.wait_ended(kStart + seconds(50), 10);
    EXPECT_GT(slow.slot.lag(kStart + seconds(50)), seconds(49));
    slow.slot.message_done();
    EXPECT_EQ(slow.slot.lag(kStart + seconds(50)), Duration::zero());
}

TEST_F(SlotsTest, AnEvictedSessionIsCountedNoMore) {
    Guest& only = enter("a");
    EXPECT_TRUE(slots.evict_slowest(kStart + seconds(5), seconds(5)));
    EXPECT_FALSE(slots.evict_slowest(kStart + seconds(50), seconds(5)));
    EXPECT_TRUE(only.told);
    EXPECT_EQ(slots.size(), 0U);
    EXPECT_EQ(slots.count_of("a"), 0U);
    guests.clear();
    EXPECT_EQ(slots.size(), 0U);
}

TEST_F(SlotsTest, RetiringTellsEverybodyAndWhoeverComesLate) {
    enter("a");
    slots.retire();
    enter("b");
    EXPECT_EQ(gone, (std::vector<std::string>{"retiring", "retiring"}));
    EXPECT_EQ(slots.size(), 2U) << "they may finish their transactions";
}

}  // namespace
}  // namespace postrider::intake
