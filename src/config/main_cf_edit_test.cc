#include "config/main_cf_edit.h"

#include <fstream>

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/unique_fd.h"

namespace postrider::config {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

namespace {

std::string edited(std::string_view text, Edit edit, const std::vector<Entry>& entries) {
    return edit_main_cf(text, edit, entries, "main.cf").text;
}

class MainCfFile : public ::testing::Test {
protected:
    void SetUp() override {
        char name[] = "/tmp/postrider-config-XXXXXX";
        folder_ = ::mkdtemp(name);
        write("a = 1\n");
    }
    void TearDown() override { std::filesystem::remove_all(folder_); }

    void write(std::string_view text) { std::ofstream(file()) << text; }
    std::string text() const { return read_text(file()).value(); }
    std::filesystem::path file() const { return folder_ / "main.cf"; }

    std::filesystem::path folder_;
};

}  // namespace

TEST(EditMainCf, SetsAValueInItsPlace) {
    EXPECT_EQ(edited("# c\na = 1\n  2\nb=3\n", Edit::Set, {{"a", "9"}}), "# c\na = 9\nb=3\n");
}

TEST(EditMainCf, AppendsNewNamesInOrder) {
    EXPECT_EQ(edited("a = 1\n", Edit::Set, {{"z", "1"}, {"c", ""}}), "a = 1\nc = \nz = 1\n");
}

TEST(EditMainCf, CompletesALastLineWithoutLineEnd) {
    EXPECT_EQ(edited("a = 1", Edit::Set, {{"b", "2"}}), "a = 1\nb = 2\n");
}

TEST(EditMainCf, ReplacesEveryDefinitionAndWarnsOnce) {
    const std::vector<Entry> entries = {{"a", "9"}};

    const auto result = edit_main_cf("a=1\na=2\na=3\n", Edit::Set, entries, "/etc/main.cf");

    EXPECT_EQ(result.text, "a = 9\na = 9\na = 9\n");
    EXPECT_THAT(result.warnings, ElementsAre("/etc/main.cf: multiple entries for \"a\""));
}

TEST(EditMainCf, RemovesEntriesWithTheirContinuations) {
    EXPECT_EQ(edited("a = 1,\n# kept\n  2\nb = 3\n", Edit::Remove, {{"a", ""}}), "# kept\nb = 3\n");
}

TEST(EditMainCf, CommentsOutEachLineOfAnEntry) {
    EXPECT_EQ(edited("a = 1,\n# kept\n  2\nb = 3\n", Edit::CommentOut, {{"a", ""}}),
              "#a = 1,\n# kept\n#  2\nb = 3\n");
}

TEST(EditMainCf, LeavesNamesThatOnlyBeginAlike) {
    EXPECT_EQ(edited("ab = 1\n", Edit::Remove, {{"a", ""}}), "ab = 1\n");
}

TEST_F(MainCfFile, KeepsItsMode) {
    ASSERT_EQ(::chmod(file().c_str(), 0640), 0);
    const std::vector<Entry> entries = {{"a", "2"}};

    ASSERT_TRUE(edit_main_cf_file(file(), Edit::Set, entries));

    EXPECT_EQ(text(), "a = 2\n");
    struct stat after = {};
    ASSERT_EQ(::stat(file().c_str(), &after), 0);
    EXPECT_EQ(after.st_mode & 07777, 0640u);
    EXPECT_FALSE(std::filesystem::exists(file().string() + ".tmp"));
}

TEST_F(MainCfFile, IsEditedThroughASymbolicLink) {
    const auto link = folder_ / "link.cf";
    std::filesystem::create_symlink(file(), link);
    const std::vector<Entry> entries = {{"a", "2"}};

    ASSERT_TRUE(edit_main_cf_file(link, Edit::Set, entries));

    EXPECT_TRUE(std::filesystem::is_symlink(link));
    EXPECT_EQ(text(), "a = 2\n");
}

TEST_F(MainCfFile, TakesOverWhatACrashLeft) {
    std::ofstream(file().string() + ".tmp") << "half a line that is longer than the result";
    const std::vector<Entry> entries = {{"a", "2"}};

    ASSERT_TRUE(edit_main_cf_file(file(), Edit::Set, entries));

    EXPECT_EQ(text(), "a = 2\n");
}

TEST_F(MainCfFile, IsLeftAloneWhileAnotherEditorHasIt) {
    const auto temporary = file().string() + ".tmp";
    const UniqueFd other(::open(temporary.c_str(), O_WRONLY | O_CREAT, 0600));
    ASSERT_EQ(::flock(other.get(), LOCK_EX), 0);
    const std::vector<Entry> entries = {{"a", "2"}};

    const auto result = edit_main_cf_file(file(), Edit::Set, entries);

    ASSERT_FALSE(result);
    EXPECT_EQ(result.error().code, ErrorCode::Unavailable);
    EXPECT_THAT(result.error().message, HasSubstr("another program is changing"));
    EXPECT_EQ(text(), "a = 1\n");
}

TEST_F(MainCfFile, MustExist) {
    const std::vector<Entry> entries = {{"a", "2"}};

    const auto result = edit_main_cf_file(folder_ / "none.cf", Edit::Set, entries);

    ASSERT_FALSE(result);
    EXPECT_EQ(result.error().code, ErrorCode::NotFound);
}

}  // namespace postrider::config
