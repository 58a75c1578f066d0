#include "daemon/table_watch.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <string>

#include <stdlib.h>

#include <gtest/gtest.h>

namespace postrider::daemon {
namespace {

using namespace std::chrono_literals;

class TableWatching : public testing::Test {
protected:
    void SetUp() override {
        std::string path = testing::TempDir() + "tables-XXXXXX";
        ASSERT_NE(::mkdtemp(path.data()), nullptr);
        directory_ = path;
        auto watch = TableWatch::open(
            {{directory_ / "aliases", "hash:aliases"}, {directory_ / "absent" / "x", "hash:x"}});
        ASSERT_TRUE(watch);
        watch_.emplace(std::move(watch).value());
    }
    void TearDown() override { std::filesystem::remove_all(directory_); }

    void write(const std::string& name) { std::ofstream(directory_ / name) << "x"; }

    std::filesystem::path directory_;
    std::optional<TableWatch> watch_;
    MonotonicTime now_{100s};
};

TEST_F(TableWatching, TellsAChangeOnceAllIsQuiet) {
    EXPECT_EQ(watch_->changed(now_), std::nullopt);
    EXPECT_EQ(watch_->wake_at(), std::nullopt);
    write("aliases");
    EXPECT_EQ(watch_->changed(now_), std::nullopt);
    write("aliases");
    EXPECT_EQ(watch_->changed(now_ + 500ms), std::nullopt);
    EXPECT_EQ(watch_->wake_at(), now_ + 1500ms);
    EXPECT_EQ(watch_->changed(now_ + 1500ms), "hash:aliases");
    EXPECT_EQ(watch_->changed(now_ + 10s), std::nullopt);
    EXPECT_EQ(watch_->wake_at(), std::nullopt);
}

TEST_F(TableWatching, SeesAFilePutInThePlaceOfAnother) {
    write("new");
    EXPECT_EQ(watch_->changed(now_), std::nullopt);
    EXPECT_EQ(watch_->wake_at(), std::nullopt) << "of files with other names nothing is said";
    std::filesystem::rename(directory_ / "new", directory_ / "aliases");
    EXPECT_EQ(watch_->changed(now_), std::nullopt);
    EXPECT_EQ(watch_->changed(now_ + 1s), "hash:aliases");
}

TEST(TableFiles, AreThoseThatTheConfigurationNames) {
    const auto config = config::Config::parse(
        "myhostname = desk.example\n"
        "smtp_sasl_password_maps = hash:/t/auth\n"
        "header_checks = regexp:/t/checks, inline:{a=b}\n"
        "canonical_maps = unionmap:{texthash:/t/one,static:/t/no}\n",
        "/etc/postrider");
    ASSERT_TRUE(config) << config.error().message;
    const auto files = table_files(*config);
    const auto table_of = [&](const char* path) {
        const auto found = std::find_if(files.begin(), files.end(),
                                        [&](const TableFile& file) { return file.path == path; });
        return found == files.end() ? std::string() : found->table;
    };
    EXPECT_EQ(table_of("/etc/passwd"), "unix:passwd.byname");
    EXPECT_EQ(table_of("/t/auth"), "hash:/t/auth");
    EXPECT_EQ(table_of("/t/auth.lmdb"), "hash:/t/auth");
    EXPECT_EQ(table_of("/t/checks"), "regexp:/t/checks");
    EXPECT_EQ(table_of("/t/one"), "texthash:/t/one");
    EXPECT_EQ(table_of("/t/no"), "");
}

}  // namespace
}  // namespace postrider::daemon
