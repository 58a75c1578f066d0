#include "core/fair_turns.h"

#include <set>
#include <utility>

#include <gtest/gtest.h>

namespace postrider {
namespace {

TEST(FairTurns, ServesOnePartyInOrder) {
    FairTurns turns;
    const auto first = turns.place("ann");
    const auto second = turns.place("ann");
    EXPECT_LT(first, second);
}

TEST(FairTurns, PutsANewcomerBesideWhoIsServedNotBehindTheCrowd) {
    FairTurns turns;
    std::multiset<std::pair<std::int64_t, std::string>> line;
    for (int i = 0; i < 10'000; ++i) line.emplace(turns.place("ann"), "ann");
    for (int i = 0; i < 300; ++i) {
        turns.serve(line.begin()->first);
        line.erase(line.begin());
    }
    for (int i = 0; i < 3; ++i) line.emplace(turns.place("bob"), "bob");

    std::string order;
    for (int i = 0; i < 8; ++i) {
        order += line.begin()->second[0];
        turns.serve(line.begin()->first);
        line.erase(line.begin());
    }
    EXPECT_EQ(order, "bababaaa");
}

TEST(FairTurns, GivesNoCreditForHavingWaited) {
    FairTurns turns;
    turns.place("bob");
    std::int64_t last = 0;
    for (int i = 0; i < 100; ++i) turns.serve(last = turns.place("ann"));
    EXPECT_EQ(turns.place("bob"), last) << "not where bob left off";
}

TEST(FairTurns, StaysInItsBounds) {
    FairTurns turns;
    const auto last = [&] {
        std::int64_t place = 0;
        for (int i = 0; i < 100; ++i) place = turns.place("ann");
        return place;
    }();
    for (std::size_t i = 0; i < 3 * FairTurns::kPartiesMax; ++i) turns.place(std::to_string(i));
    EXPECT_LT(turns.place("ann"), last) << "forgotten, which costs the others little";
}

}  // namespace
}  // namespace postrider
