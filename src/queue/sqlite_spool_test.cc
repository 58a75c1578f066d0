// The spool on a disk: opening, closing, who may, and the reserve for a full one.
#include <filesystem>
#include <fstream>

#include <sys/stat.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sqlite3.h>

#include "queue/room_reserve.h"
#include "queue/testing/spool_test_world.h"

namespace postrider::queue {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::Kind;
using testing::SpoolOnDisk;

TEST_F(SpoolOnDisk, FindsItsMailAgain) {
    const auto id = commit();
    const auto held = commit();
    operate(&Spool::hold, held);

    reopen();

    EXPECT_EQ(counts().incoming, 1U);
    EXPECT_EQ(counts().hold, 1U);
    EXPECT_THAT(leased_ids(), ElementsAre(id.str()));
    EXPECT_TRUE(spool_->check());
}

TEST_F(SpoolOnDisk, ALeaseEndsWithItsProcess) {
    commit();
    lease();
    reopen();
    EXPECT_EQ(lease().size(), 1U);
}

TEST_F(SpoolOnDisk, NumbersGrowAcrossARestart) {
    const auto before = transact([&] { return spool_->reserve(64); });
    reopen();
    EXPECT_EQ(*transact([&] { return spool_->reserve(1); }), *before + 64);
}

TEST_F(SpoolOnDisk, DropsWhatWasBeingReceived) {
    const auto number = transact([&] { return spool_->reserve(1); });
    ASSERT_TRUE(transact([&] { return spool_->append(*number, 0, "half a message"); }));

    reopen();
    collect_all();

    EXPECT_EQ(*spool_->read_piece(*number, 0), "");
}

TEST_F(SpoolOnDisk, IsOwnedByOneProcess) {
    const auto second = try_open();
    ASSERT_FALSE(second);
    EXPECT_THAT(second.error().message, HasSubstr("another process owns this queue"));
}

TEST_F(SpoolOnDisk, NobodyElseCanReadIt) {
    int files = 0;
    for (const auto& entry : std::filesystem::directory_iterator(file(""))) {
        struct stat status {};
        ASSERT_EQ(::stat(entry.path().c_str(), &status), 0) << entry;
        EXPECT_EQ(status.st_mode & 0777U, 0600U) << entry;
        ++files;
    }
    EXPECT_GE(files, 4) << "the database, its log, the lock, the witness";
}

TEST_F(SpoolOnDisk, RefusesAFileThatOthersCanRead) {
    spool_.reset();
    ::chmod(file("queue.db").c_str(), 0640);
    EXPECT_THAT(refusal(), HasSubstr("others have access"));
}

TEST_F(SpoolOnDisk, RefusesAFolderThatOthersCanWrite) {
    spool_.reset();
    ::chmod(folder_.path().c_str(), 0777);
    EXPECT_THAT(refusal(), HasSubstr("others may write"));
}

TEST_F(SpoolOnDisk, RefusesSomethingElse) {
    spool_.reset();
    std::filesystem::remove(file("queue.db-wal"));
    std::ofstream(file("queue.db")) << std::string(8192, 'x');
    EXPECT_THAT(refusal(), HasSubstr("not a database"));
}

TEST_F(SpoolOnDisk, KeepsAReserveForAFullDisk) {
    if (!writes_in_place(file(""))) GTEST_SKIP() << "temporary files are copied on write";
    EXPECT_GE(std::filesystem::file_size(file("queue.db-wal")), 4U * 1024 * 1024);
    reopen();
    EXPECT_GE(std::filesystem::file_size(file("queue.db-wal")), 4U * 1024 * 1024);
}

TEST_F(SpoolOnDisk, RefusesNewMailBelowTheFloorButRecordsOutcomes) {
    commit();
    floor_ = std::numeric_limits<std::uint64_t>::max();
    reopen();

    const NewMessage message = new_message({"b@example.com"}, "x\r\n");
    const auto committed = transact([&] { return spool_->commit(message, 0, "x\r\n"); });
    const auto appended =
        transact([&] { return spool_->append(message.ticket.number, 0, "x\r\n"); });

    EXPECT_EQ(committed.error().code, ErrorCode::DiskFull);
    EXPECT_EQ(appended.error().code, ErrorCode::DiskFull);
    EXPECT_TRUE(settle(finish(lease()[0], Kind::Sent)).removed);
}

// D17.
TEST_F(SpoolOnDisk, TheLogStaysSmallUnderLoad) {
    const std::string content(20000, 'x');
    for (int i = 0; i < 600; ++i) {
        commit({"b@example.com"}, content);
        settle(finish(lease()[0], Kind::Sent));
        if (i % 20 == 0) collect_all();
        ASSERT_TRUE(spool_->checkpoint(false));
    }
    EXPECT_LE(std::filesystem::file_size(file("queue.db-wal")), 12U * 1024 * 1024) << "the reserve";
    EXPECT_LT(std::filesystem::file_size(file("queue.db")), 12U * 1024 * 1024);
}

TEST_F(SpoolOnDisk, AReaderThatStaysPinsTheLogOnlyAsLongAsItStays) {
    if (!writes_in_place(file(""))) GTEST_SKIP() << "nobody else reads what is copied on write";
    commit();
    sqlite3* reader = nullptr;
    ASSERT_EQ(sqlite3_open_v2(file("queue.db").c_str(), &reader, SQLITE_OPEN_READONLY, nullptr), 0);
    ASSERT_EQ(sqlite3_exec(reader, "BEGIN; SELECT * FROM message", nullptr, nullptr, nullptr), 0);
    const std::string content(200'000, 'x');
    const auto load = [&] {
        for (int i = 0; i < 60; ++i) {
            commit({"b@example.com"}, content);
            ASSERT_TRUE(spool_->checkpoint(false));
        }
    };
    load();
    const auto pinned = std::filesystem::file_size(file("queue.db-wal"));
    EXPECT_GT(pinned, 12U * 1024 * 1024) << "the control: nothing can be copied";
    sqlite3_close(reader);
    for (int i = 0; i < 5; ++i) load();
    EXPECT_LT(std::filesystem::file_size(file("queue.db-wal")), pinned + 12U * 1024 * 1024);
}

}  // namespace
}  // namespace postrider::queue
