// Content in files beside the database: there as long as somebody may read it, and no longer.
#include "queue/content_files.h"

#include <fstream>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sqlite3.h>

#include "queue/inbox.h"
#include "queue/testing/fault_vfs.h"
#include "queue/testing/spool_test_world.h"

namespace postrider::queue {
namespace {

using Kind = mail::Disposition::Kind;
using ::testing::HasSubstr;
using testing::SpoolOnDisk;

constexpr std::uint32_t kPieces = Spool::kPiecesInDatabase + 3;

class LargeContent : public SpoolOnDisk {
protected:
    static std::string piece(std::uint32_t index) {
        if (index == kPieces - 1) return "end\r\n";
        return std::string(Inbox::kPieceSize, static_cast<char>('a' + index));
    }

    NewMessage receive() {
        std::string content;
        for (std::uint32_t i = 0; i < kPieces; ++i) content += piece(i);
        NewMessage message = new_message({"b@example.com"}, content);
        for (std::uint32_t i = 0; i + 1 < kPieces; ++i) {
            const auto done =
                transact([&] { return spool_->append(message.ticket.number, i, piece(i)); });
            EXPECT_TRUE(done) << done.error().message;
        }
        return message;
    }

    NewMessage submit() {
        NewMessage message = receive();
        const auto done =
            transact([&] { return spool_->commit(message, kPieces - 1, piece(kPieces - 1)); });
        EXPECT_TRUE(done) << done.error().message;
        return message;
    }

    void expect_whole(const NewMessage& message) {
        for (std::uint32_t i = 0; i < kPieces; ++i) {
            EXPECT_TRUE(*spool_->read_piece(message.ticket.number, i) == piece(i)) << i;
        }
        EXPECT_EQ(*spool_->read_piece(message.ticket.number, kPieces), "");
    }

    std::vector<std::filesystem::path> files() const {
        std::vector<std::filesystem::path> found;
        for (const auto& entry : std::filesystem::directory_iterator(folder_.path())) {
            if (entry.path().filename().string().starts_with("queue.db-c")) {
                found.push_back(entry.path());
            }
        }
        return found;
    }
};

TEST_F(LargeContent, IsInAFileThatOnlyWeCanReadAndOutlivesTheProcess) {
    const NewMessage message = submit();
    expect_whole(message);
    ASSERT_EQ(files().size(), 1U);
    EXPECT_EQ(std::filesystem::status(files()[0]).permissions(), std::filesystem::perms(0600));
    reopen();
    expect_whole(message);
}

TEST_F(LargeContent, OfUpToAFewPiecesNeedsNoFile) {
    const NewMessage message = new_message({"b@example.com"}, piece(0) + "end\r\n");
    ASSERT_TRUE(transact([&] { return spool_->append(message.ticket.number, 0, piece(0)); }));
    ASSERT_TRUE(transact([&] { return spool_->commit(message, 1, "end\r\n"); }));
    EXPECT_TRUE(files().empty());
}

TEST_F(LargeContent, GoesWithItsMessage) {
    submit();
    const auto leases = lease();
    ASSERT_EQ(leases.size(), 1U);
    settle(finish(leases[0], Kind::Sent));
    EXPECT_EQ(files().size(), 1U) << "not before the outcome is durable";
    collect_all();
    EXPECT_TRUE(files().empty());
}

// The removal of the message may fail yet, and then it must be there whole.
TEST_F(LargeContent, OutlivesTheTransactionThatRemovesItsMessage) {
    const NewMessage message = submit();
    ASSERT_TRUE(spool_->begin());
    ASSERT_TRUE(spool_->remove(Spool::Selection()));
    const auto more = spool_->collect_garbage();
    ASSERT_TRUE(more);
    EXPECT_TRUE(*more);
    expect_whole(message);
    ASSERT_TRUE(spool_->commit_transaction());
    collect_all();
    EXPECT_TRUE(files().empty());
}

TEST_F(LargeContent, OfARemovedMessageStaysWhileItIsAttempted) {
    const NewMessage message = submit();
    const auto leases = lease();
    operate(&Spool::remove, message.ticket.id);
    collect_all();
    expect_whole(message);
    settle(finish(leases[0], Kind::Sent));
    collect_all();
    EXPECT_TRUE(files().empty());
}

TEST_F(LargeContent, GoesWhenTheClientDoes) {
    const NewMessage message = receive();
    EXPECT_EQ(files().size(), 1U);
    ASSERT_TRUE(transact([&] { return spool_->discard(message.ticket.number); }));
    collect_all();
    EXPECT_TRUE(files().empty());
}

TEST_F(LargeContent, GoesWhenTheProcessDiedWhileItCameIn) {
    receive();
    reopen();
    collect_all();
    EXPECT_TRUE(files().empty());
}

// A database that was put back from a copy gives numbers again.
TEST_F(LargeContent, IsNotMixedWithWhatAnEarlierMessageLeft) {
    const NewMessage message = submit();
    const auto file = files().at(0);
    const auto left_over = folder_.path() / "left-over";
    std::filesystem::copy(file, left_over);
    std::filesystem::resize_file(left_over, 3 * std::filesystem::file_size(file));
    const NewMessage next = new_message({"b@example.com"}, "");
    std::filesystem::copy(left_over, fmt::format("{}/queue.db-c{:x}", folder_.path().string(),
                                                 next.ticket.number + 1));
    expect_whole(submit());
}

TEST_F(LargeContent, MayNotHaveAShortPieceInTheMiddle) {
    const NewMessage message = receive();
    const auto done =
        transact([&] { return spool_->append(message.ticket.number, kPieces - 1, "short"); });
    ASSERT_FALSE(done);
    EXPECT_THAT(done.error().message, HasSubstr("short piece"));
}

// After a failed sync the kernel takes for written what is lost: a second one would succeed.
std::size_t open_content_files() {
    std::size_t count = 0;
    for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) {
        std::error_code gone;
        const std::string target = std::filesystem::read_symlink(entry.path(), gone).string();
        if (target.find("queue.db-c") != std::string::npos) ++count;
    }
    return count;
}

TEST_F(LargeContent, StaysOpenFromTheFirstPieceThatIsReadToTheLast) {
    const NewMessage message = submit();
    const std::uint64_t number = message.ticket.number;
    ASSERT_TRUE(spool_->read_piece(number, Spool::kPiecesInDatabase));
    EXPECT_EQ(open_content_files(), 1U);
    ASSERT_TRUE(spool_->read_piece(number, Spool::kPiecesInDatabase + 1));
    EXPECT_EQ(open_content_files(), 1U);
    ASSERT_TRUE(spool_->read_piece(number, kPieces - 1));
    EXPECT_EQ(open_content_files(), 0U);
}

TEST_F(LargeContent, IsOpenForAFewReadersAtATimeAndForNoneAtRest) {
    for (std::size_t i = 0; i < ContentFiles::kReadingMax + 3; ++i) {
        const NewMessage message = submit();
        EXPECT_EQ(*spool_->read_piece(message.ticket.number, Spool::kPiecesInDatabase),
                  piece(Spool::kPiecesInDatabase));
    }
    EXPECT_EQ(open_content_files(), ContentFiles::kReadingMax);
    spool_->rest();
    EXPECT_EQ(open_content_files(), 0U);
}

TEST(ContentFiles, AreLostOnceASyncHasFailed) {
    testing::TemporaryFolder folder;
    testing::FaultVfs vfs;
    ContentFiles files(folder.path() / "queue.db", testing::FaultVfs::kName);
    std::ofstream(folder.path() / "queue.db").close();
    ASSERT_TRUE(files.write(1, 4, "x"));
    vfs.fail(testing::FaultVfs::Operation::Sync, 1, SQLITE_IOERR_FSYNC);
    EXPECT_FALSE(files.sync(1));
    EXPECT_FALSE(files.sync(1));
    EXPECT_FALSE(files.write(1, 5, "x"));
    files.close(1);
    EXPECT_TRUE(*files.remove(1));
    EXPECT_FALSE(*files.remove(1));
    EXPECT_EQ(*files.read(1, 4), "");
}

TEST(ContentFiles, AreLostOnceAWriteHasFailed) {
    testing::TemporaryFolder folder;
    testing::FaultVfs vfs;
    ContentFiles files(folder.path() / "queue.db", testing::FaultVfs::kName);
    std::ofstream(folder.path() / "queue.db").close();
    vfs.fail(testing::FaultVfs::Operation::Write, 1, SQLITE_FULL);
    const auto written = files.write(1, 4, "x");
    ASSERT_FALSE(written);
    EXPECT_EQ(written.error().code, ErrorCode::DiskFull);
    EXPECT_FALSE(files.sync(1));
}

}  // namespace
}  // namespace postrider::queue
