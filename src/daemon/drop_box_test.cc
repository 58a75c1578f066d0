// Which files of maildrop are handed out, and which go.
#include "daemon/drop_box.h"

#include <filesystem>
#include <fstream>
#include <string>

#include <stdlib.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/log.h"

namespace postrider::daemon {
namespace {

using namespace std::chrono_literals;
using ::testing::Contains;
using ::testing::HasSubstr;

class Maildrop : public testing::Test {
protected:
    void SetUp() override {
        std::string path = testing::TempDir() + "maildrop-XXXXXX";
        ASSERT_NE(::mkdtemp(path.data()), nullptr);
        directory_ = path;
        auto box = DropBox::open(directory_, Log(lines_, "master"));
        ASSERT_TRUE(box) << box.error().message;
        box_.emplace(std::move(box).value());
    }
    void TearDown() override { std::filesystem::remove_all(directory_); }

    void write(const std::string& name) { std::ofstream(directory_ / name) << "x"; }
    bool is_there(const std::string& name) { return std::filesystem::exists(directory_ / name); }
    /// Its name, or nothing.
    std::string offered(pid_t holder = 7) {
        const auto drop = box_->next(now_, holder);
        return drop ? drop->name : std::string();
    }

    std::filesystem::path directory_;
    CapturedLog lines_;
    std::optional<DropBox> box_;
    MonotonicTime now_{100s};
};

TEST_F(Maildrop, OffersAFileOnceAndRemovesWhatWasTaken) {
    write("A1");
    EXPECT_EQ(offered(), "A1");
    EXPECT_EQ(offered(), "");
    box_->taken("A1");
    EXPECT_FALSE(is_there("A1"));
    EXPECT_TRUE(box_->is_empty());
}

TEST_F(Maildrop, OffersAgainWhatAProcessHadThatIsGone) {
    write("A1");
    EXPECT_EQ(offered(7), "A1");
    box_->lost(8);
    EXPECT_EQ(offered(9), "");
    box_->lost(7);
    EXPECT_EQ(offered(9), "A1");
}

// L7: nobody has read the new one, so nobody has it in the queue.
TEST_F(Maildrop, LeavesAFileThatWasPutInThePlaceOfTheOneTaken) {
    write("A1");
    EXPECT_EQ(offered(), "A1");
    write(".new");
    std::filesystem::rename(directory_ / ".new", directory_ / "A1");
    box_->taken("A1");
    EXPECT_TRUE(is_there("A1"));
    EXPECT_EQ(offered(), "A1");
}

// The intake may have been taken over.
TEST_F(Maildrop, RemovesNothingThatItDidNotHandOut) {
    write("A1");
    const std::string outside = "../" + directory_.filename().string() + ".outside";
    std::ofstream(directory_ / outside) << "x";
    for (const std::string& name : {std::string("A1"), outside}) {
        box_->refused(name);
        box_->later(name, now_);
        box_->taken(name);
        EXPECT_TRUE(is_there(name)) << name;
    }
    EXPECT_EQ(offered(), "A1");
    std::filesystem::remove(directory_ / outside);
}

TEST_F(Maildrop, RefusedFilesStayAndAreNotOfferedUntilAskedFor) {
    write("A1");
    EXPECT_EQ(offered(), "A1");
    box_->refused("A1");
    EXPECT_EQ(offered(), "");
    EXPECT_TRUE(box_->is_empty());
    box_->rescan();
    EXPECT_EQ(offered(), "A1");
}

TEST_F(Maildrop, RubbishHidesNobodysMail) {
    // More than are looked at in one go.
    for (int i = 0; i < 10500; ++i) {
        std::filesystem::create_symlink("/dev/null", directory_ / ("A" + std::to_string(i)));
    }
    EXPECT_EQ(offered(), "");
    write("Z1");
    std::string name;
    for (int i = 0; i < 5 && name.empty(); ++i, now_ += 2s) name = offered();
    EXPECT_EQ(name, "Z1");
    box_->taken("Z1");
    for (int i = 0; i < 5; ++i, now_ += 2s) EXPECT_EQ(offered(), "");
    EXPECT_TRUE(box_->is_empty());
    EXPECT_LT(lines_.lines().size(), 1100U);
    EXPECT_THAT(lines_.lines(), Contains(HasSubstr("a link")));
}

}  // namespace
}  // namespace postrider::daemon
