#include "queue/room_reserve.h"

#include <bitset>
#include <csignal>
#include <fstream>
#include <set>

#include <sys/resource.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "queue/testing/samples.h"

namespace postrider::queue {
namespace {

using ::testing::HasSubstr;

class RoomReserveTest : public ::testing::Test {
protected:
    RoomReserve open() {
        auto opened = RoomReserve::open(file());
        EXPECT_TRUE(opened);
        return std::move(*opened);
    }
    std::filesystem::path file() const { return folder_.path() / "queue.reserve"; }
    std::int64_t size() const {
        return static_cast<std::int64_t>(std::filesystem::file_size(file()));
    }

    testing::TemporaryFolder folder_;
};

TEST_F(RoomReserveTest, GrowsAndIsGivenBackSliceBySlice) {
    RoomReserve reserve = open();
    EXPECT_EQ(reserve.slices(), 0);
    EXPECT_EQ(reserve.release().error().code, ErrorCode::NotFound);
    for (int slices = 1; slices <= RoomReserve::kSlices; ++slices) {
        ASSERT_TRUE(reserve.restore());
        EXPECT_EQ(size(), slices * RoomReserve::kSlice);
    }
    EXPECT_TRUE(reserve.is_whole());
    ASSERT_TRUE(reserve.release());
    EXPECT_FALSE(reserve.is_whole());
    EXPECT_EQ(size(), 3 * RoomReserve::kSlice);
    EXPECT_EQ(open().slices(), 3) << "the next process finds what is left";
}

TEST_F(RoomReserveTest, AnUnfinishedSliceIsNone) {
    ASSERT_TRUE(open().restore());
    std::filesystem::resize_file(file(), RoomReserve::kSlice * 2 - 1);
    RoomReserve reserve = open();
    EXPECT_EQ(reserve.slices(), 1);
    EXPECT_EQ(size(), RoomReserve::kSlice);
    ASSERT_TRUE(reserve.restore());
    EXPECT_EQ(size(), 2 * RoomReserve::kSlice);
}

TEST_F(RoomReserveTest, NorIsOneOfHoles) {
    ASSERT_TRUE(open().restore());
    std::filesystem::resize_file(file(), RoomReserve::kSlice * RoomReserve::kSlices);
    EXPECT_EQ(open().slices(), 1);
}

TEST_F(RoomReserveTest, WhatSomebodyHasTakenIsNotGivenBack) {
    RoomReserve reserve = open();
    ASSERT_TRUE(reserve.restore());
    ASSERT_TRUE(reserve.restore());
    std::filesystem::resize_file(file(), 0);
    EXPECT_EQ(reserve.release().error().code, ErrorCode::NotFound);
    EXPECT_EQ(size(), 0);
    EXPECT_EQ(reserve.slices(), 0);
}

/// Else a file system that compresses, or keeps the same block once, has kept no room at all.
TEST_F(RoomReserveTest, NoTwoBlocksAreAlikeAndNoneIsEmpty) {
    RoomReserve reserve = open();
    ASSERT_TRUE(reserve.restore());
    ASSERT_TRUE(reserve.restore());
    std::ifstream in(file(), std::ios::binary);
    std::set<std::string> seen;
    std::string block(4096, '\0');
    while (in.read(block.data(), 4096)) {
        ASSERT_TRUE(seen.insert(block).second);
        std::bitset<256> used;
        for (const char one : block) used.set(static_cast<unsigned char>(one));
        ASSERT_GT(used.count(), 200U);
    }
    EXPECT_EQ(seen.size(), 2U * RoomReserve::kSlice / 4096);
}

TEST_F(RoomReserveTest, WhatFoundNoRoomIsCutOffAgain) {
    RoomReserve reserve = open();
    ASSERT_TRUE(reserve.restore());
    rlimit before{};
    ::getrlimit(RLIMIT_FSIZE, &before);
    const rlimit limit{RoomReserve::kSlice + 100'000, before.rlim_max};
    ::signal(SIGXFSZ, SIG_IGN);  // As the workers do (D11).
    ::setrlimit(RLIMIT_FSIZE, &limit);
    const auto grown = reserve.restore();
    ::setrlimit(RLIMIT_FSIZE, &before);
    EXPECT_EQ(grown.error().code, ErrorCode::DiskFull) << grown.error().message;
    EXPECT_EQ(reserve.slices(), 1);
    EXPECT_EQ(size(), RoomReserve::kSlice);
}

TEST_F(RoomReserveTest, SaysWhyItCannotBe) {
    std::filesystem::create_directory(file());
    const auto opened = RoomReserve::open(file());
    ASSERT_FALSE(opened);
    EXPECT_THAT(opened.error().message, HasSubstr("queue.reserve"));
}

TEST(WritesInPlace, IsFalseForWhatIsNotKnown) {
    EXPECT_FALSE(writes_in_place("/proc"));
    EXPECT_FALSE(writes_in_place("/no/such/place"));
}

}  // namespace
}  // namespace postrider::queue
