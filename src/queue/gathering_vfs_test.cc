#include "queue/gathering_vfs.h"

#include <memory>
#include <random>
#include <string>

#include <gtest/gtest.h>
#include <sqlite3.h>

#include "queue/database.h"
#include "queue/testing/fault_vfs.h"
#include "queue/testing/samples.h"

namespace postrider::queue {
namespace {

using testing::FaultVfs;

class GatheredWrites : public ::testing::Test {
protected:
    GatheredWrites() { open(); }

    void open() {
        database_.reset();
        Database::Options options;
        options.path = (folder_.path() / "test.db").string();
        options.vfs = FaultVfs::kName;
        auto opened = Database::open(options);
        ASSERT_TRUE(opened) << opened.error().message;
        database_ = std::move(*opened);
        database_->persist_wal();
        run("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA cache_size = 10;"
            "CREATE TABLE IF NOT EXISTS row (id INTEGER PRIMARY KEY, text TEXT)");
    }
    void run(const std::string& sql) {
        const auto done = database_->execute(sql.c_str());
        ASSERT_TRUE(done) << done.error().message;
    }
    /// Each of about a page.
    static std::string inserting(int rows) {
        return "INSERT INTO row (text) WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 "
               "FROM n "
               "LIMIT " +
               std::to_string(rows) + ") SELECT printf('%.4000c', 'x') FROM n";
    }
    std::int64_t rows() { return *database_->query_integer("SELECT count(*) FROM row"); }
    std::string integrity() { return *database_->query_text("PRAGMA integrity_check"); }
    int writes() const { return vfs_.count(FaultVfs::Operation::Write); }

    testing::TemporaryFolder folder_;
    FaultVfs vfs_;
    std::unique_ptr<Database> database_;
};

TEST_F(GatheredWrites, OfASmallTransactionAreOne) {
    const int before = writes();
    run(inserting(3));
    EXPECT_EQ(writes() - before, 1);
    EXPECT_EQ(rows(), 3);
}

TEST_F(GatheredWrites, OfALargeTransactionAreOneForEach64Kilobytes) {
    run("PRAGMA cache_size = 1000");
    const int before = writes();
    run(inserting(160));
    EXPECT_GE(writes() - before, 10);
    EXPECT_LE(writes() - before, 12);
}

TEST_F(GatheredWrites, AreReadBeforeTheirTransactionIsOver) {
    run("BEGIN");
    run(inserting(500));  // Fifty times what the cache holds.
    EXPECT_EQ(rows(), 500);
    EXPECT_EQ(*database_->query_integer("SELECT sum(length(text)) FROM row"), 2'000'000);
    run("UPDATE row SET text = 'changed' WHERE id % 7 = 0; COMMIT");
    open();
    EXPECT_EQ(*database_->query_integer("SELECT count(*) FROM row WHERE text = 'changed'"), 71);
    EXPECT_EQ(integrity(), "ok");
}

TEST_F(GatheredWrites, ThatFailFailTheCommitAndAreForgotten) {
    run(inserting(2));
    vfs_.fail(FaultVfs::Operation::Write, 1, SQLITE_FULL);
    const auto failed = database_->execute(inserting(2).c_str());
    ASSERT_FALSE(failed);
    EXPECT_EQ(failed.error().code, ErrorCode::DiskFull);
    EXPECT_EQ(rows(), 2);
    run(inserting(1));
    open();
    EXPECT_EQ(rows(), 3);
    EXPECT_EQ(integrity(), "ok");
}

TEST_F(GatheredWrites, OfACommitAreSyncedWithIt) {
    std::mt19937 random(1);
    for (int commits = 1; commits <= 20; ++commits) {
        run(inserting(1 + commits % 3));
        const std::int64_t committed = rows();
        run("BEGIN");
        run(inserting(40));  // Some of it is in the log already, some waits.
        vfs_.cut_power();
        database_.reset();
        vfs_.restore_power(random);
        open();
        ASSERT_EQ(rows(), committed);
        ASSERT_EQ(integrity(), "ok");
    }
}

TEST_F(GatheredWrites, OfACommitAreLostWhenSyncsLie) {
    std::mt19937 random(1);
    vfs_.lie_about_syncs();
    run(inserting(5));
    vfs_.cut_power();
    database_.reset();
    vfs_.restore_power(random);
    open();
    EXPECT_EQ(rows(), 0);
}

TEST(GatheringVfs, OverNoneOpensNothing) {
    testing::TemporaryFolder folder;
    Database::Options options;
    options.path = (folder.path() / "test.db").string();
    options.vfs = "no such layer";
    const auto opened = Database::open(options);
    ASSERT_FALSE(opened);
    EXPECT_NE(opened.error().message.find("no such vfs"), std::string::npos)
        << opened.error().message;
}

}  // namespace
}  // namespace postrider::queue
