#include "queue/witness.h"

#include <fstream>

#include <gtest/gtest.h>

#include "queue/testing/samples.h"

namespace postrider::queue {
namespace {

class WitnessTest : public ::testing::Test {
protected:
    Witness open() {
        auto opened = Witness::open(file());
        EXPECT_TRUE(opened);
        return std::move(*opened);
    }
    std::filesystem::path file() const { return folder_.path() / "queue.witness"; }

    testing::TemporaryFolder folder_;
};

TEST_F(WitnessTest, RemembersWhatWasSaidLast) {
    EXPECT_EQ(open().said(), std::nullopt);
    {
        Witness witness = open();
        ASSERT_TRUE(witness.say(5));
        ASSERT_TRUE(witness.say(1LL << 40));
        EXPECT_EQ(witness.said(), std::nullopt) << "only the last process";
    }
    EXPECT_EQ(open().said(), 1LL << 40);
    ASSERT_TRUE(open().say(3));
    EXPECT_EQ(open().said(), 3);
}

TEST_F(WitnessTest, IsNotBelievedWithOneBitChangedOrAByteMissing) {
    ASSERT_TRUE(open().say(700));
    std::string whole(16, '\0');
    std::ifstream(file(), std::ios::binary).read(whole.data(), 16);
    for (std::size_t bit = 0; bit < whole.size() * 8; ++bit) {
        std::string bytes = whole;
        bytes[bit / 8] = static_cast<char>(bytes[bit / 8] ^ (1 << bit % 8));
        std::ofstream(file(), std::ios::binary) << bytes;
        ASSERT_EQ(open().said(), std::nullopt) << bit;
    }
    std::ofstream(file(), std::ios::binary) << whole.substr(0, 15);
    EXPECT_EQ(open().said(), std::nullopt);
    std::ofstream(file(), std::ios::binary) << whole;
    EXPECT_EQ(open().said(), 700);
}

TEST_F(WitnessTest, SaysWhyItCannotBe) {
    std::filesystem::create_directory(file());
    const auto opened = Witness::open(file());
    ASSERT_FALSE(opened);
    EXPECT_NE(opened.error().message.find("queue.witness"), std::string::npos);
}

}  // namespace
}  // namespace postrider::queue
