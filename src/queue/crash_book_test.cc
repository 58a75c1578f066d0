#include "queue/crash_book.h"

#include <fstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "queue/schema.h"
#include "queue/testing/samples.h"

namespace postrider::queue {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr std::uint64_t kOne = kFirstNumber + 1;
constexpr std::uint64_t kTwo = kFirstNumber + 2;

class CrashBookTest : public ::testing::Test {
protected:
    CrashBook open(const char* boot = "boot") {
        auto opened = CrashBook::open(file(), boot);
        EXPECT_TRUE(opened);
        return std::move(*opened);
    }
    std::filesystem::path file() const { return folder_.path() / "queue.leases"; }
    static CrashBook::Entry leased(std::uint64_t number, std::uint32_t crashes = 0) {
        CrashBook::Entry entry;
        entry.number = number;
        entry.crashes = crashes;
        entry.leased = true;
        return entry;
    }
    /// "number:crashes" of each.
    static std::vector<std::string> left(const CrashBook& book) {
        std::vector<std::string> entries;
        for (const auto& entry : book.left()) {
            EXPECT_FALSE(entry.leased);
            entries.push_back(std::to_string(entry.number - kFirstNumber) + ":" +
                              std::to_string(entry.crashes));
        }
        return entries;
    }

    testing::TemporaryFolder folder_;
};

TEST_F(CrashBookTest, WhatWasLeasedAtTheEndHasOneCrashMore) {
    {
        CrashBook book = open();
        book.put(leased(kOne));
        book.put(leased(kTwo, 1));
        ASSERT_TRUE(book.write());
    }
    EXPECT_THAT(left(open()), ElementsAre("1:1", "2:2"));
}

TEST_F(CrashBookTest, ASuspectThatWasNotLeasedKeepsItsCount) {
    {
        CrashBook book = open();
        book.put(leased(kOne));
        ASSERT_TRUE(book.write());
    }
    { EXPECT_THAT(left(open()), ElementsAre("1:1")); }
    EXPECT_THAT(left(open()), ElementsAre("1:1"));
}

TEST_F(CrashBookTest, WhatEndedIsForgotten) {
    {
        CrashBook book = open();
        book.put(leased(kOne));
        book.put(leased(kTwo));
        ASSERT_TRUE(book.write());
        book.erase(kOne);
        book.put(leased(kTwo + 1));
        ASSERT_TRUE(book.write());
    }
    EXPECT_THAT(left(open()), ElementsAre("3:1", "2:1"));
}

TEST_F(CrashBookTest, AnotherBootKnowsNothing) {
    {
        CrashBook book = open();
        book.put(leased(kOne));
        ASSERT_TRUE(book.write());
    }
    EXPECT_THAT(left(open("another boot")), IsEmpty());
    EXPECT_THAT(left(open("boot")), IsEmpty());
}

TEST_F(CrashBookTest, WithoutANameOfTheBootNothingIsBelieved) {
    {
        CrashBook book = open("");
        book.put(leased(kOne));
        ASSERT_TRUE(book.write());
    }
    EXPECT_THAT(left(open("")), IsEmpty());
}

TEST_F(CrashBookTest, BelievesNothingThatIsNotItsOwn) {
    for (const std::string& bytes : {std::string(), std::string(3, 'x'), std::string(100000, 'x'),
                                     std::string(2000000, '\0')}) {
        std::ofstream(file(), std::ios::binary) << bytes;
        EXPECT_THAT(left(open()), IsEmpty()) << bytes.size();
    }
}

TEST_F(CrashBookTest, HasABound) {
    {
        CrashBook book = open();
        for (std::uint64_t i = 0; i < CrashBook::kSlots + 5; ++i) book.put(leased(kOne + i));
        ASSERT_TRUE(book.write());
    }
    EXPECT_EQ(open().left().size(), CrashBook::kSlots);
}

}  // namespace
}  // namespace postrider::queue
