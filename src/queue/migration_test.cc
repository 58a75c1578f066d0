// Older stores are read, newer ones refused, and a migration that is cut off harms nothing:
// P13, D18.
#include <random>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sqlite3.h>

#include "queue/schema.h"
#include "queue/spool.h"
#include "queue/testing/fault_vfs.h"
#include "queue/testing/samples.h"

namespace postrider::queue {
namespace {

using Operation = testing::FaultVfs::Operation;
using ::testing::HasSubstr;

constexpr int kMessages = 300;

// As the first release wrote it; never to be changed.
constexpr const char* kFormat1 = R"sql(
PRAGMA page_size = 4096;
PRAGMA journal_mode = WAL;
BEGIN;
CREATE TABLE state(one INTEGER PRIMARY KEY CHECK(one = 1), next_number INTEGER NOT NULL,
    serial INTEGER NOT NULL, stopped_cleanly INTEGER NOT NULL) STRICT;
CREATE TABLE message(number INTEGER PRIMARY KEY,
    place INTEGER NOT NULL CHECK(place BETWEEN 0 AND 3), due INTEGER NOT NULL,
    attempts INTEGER NOT NULL, recipients INTEGER NOT NULL, dead INTEGER NOT NULL,
    delay_reported INTEGER NOT NULL, expire INTEGER NOT NULL, id TEXT NOT NULL,
    arrival INTEGER NOT NULL, origin INTEGER NOT NULL, submitter_uid INTEGER NOT NULL,
    client TEXT NOT NULL, size INTEGER NOT NULL, content_length INTEGER NOT NULL,
    checksum INTEGER NOT NULL, header_length INTEGER NOT NULL, longest_line INTEGER NOT NULL,
    has_8bit INTEGER NOT NULL, content_filter TEXT NOT NULL, sender_local TEXT NOT NULL,
    sender_domain TEXT NOT NULL, envelope_id TEXT NOT NULL, dsn_return INTEGER NOT NULL,
    body INTEGER NOT NULL, smtputf8 INTEGER NOT NULL) STRICT;
CREATE INDEX message_new ON message(due) WHERE place = 0;
CREATE INDEX message_deferred ON message(due) WHERE place = 1;
CREATE INDEX message_held ON message(due) WHERE place = 2;
CREATE INDEX message_dead ON message(due) WHERE place = 3;
CREATE TABLE recipient(id INTEGER PRIMARY KEY, state INTEGER NOT NULL CHECK(state BETWEEN 0 AND 2),
    local_part TEXT NOT NULL, domain TEXT NOT NULL, original_local TEXT, original_domain TEXT,
    original_recipient TEXT NOT NULL, notify INTEGER NOT NULL, kind INTEGER, status TEXT,
    reason TEXT, remote_mta TEXT, diagnostic TEXT) STRICT;
CREATE TABLE content(id INTEGER PRIMARY KEY, bytes BLOB NOT NULL) STRICT;
CREATE TABLE receiving(number INTEGER PRIMARY KEY, pieces INTEGER NOT NULL,
    length INTEGER NOT NULL) STRICT;
CREATE TABLE garbage(number INTEGER PRIMARY KEY) STRICT;
INSERT INTO state VALUES(1, 0x20000, 7, 1);
PRAGMA application_id = 0x706f7374;
PRAGMA user_version = 1;
WITH RECURSIVE n(i) AS (SELECT 0x10000 UNION ALL SELECT i + 1 FROM n LIMIT 300)
INSERT INTO message SELECT i, i % 3, i, 1, 1, 0, 0, 0, printf('00000%X', i), i, 0, 1000, 'local', 3,
    3, 4040718249, 0, 1, 0, '', 'a', 'example.org', '', 0, 0, 0 FROM n;
WITH RECURSIVE n(i) AS (SELECT 0x10000 UNION ALL SELECT i + 1 FROM n LIMIT 300)
INSERT INTO recipient(id, state, local_part, domain, original_recipient, notify)
    SELECT i << 20, 0, 'b', 'example.com', '', 0 FROM n;
WITH RECURSIVE n(i) AS (SELECT 0x10000 UNION ALL SELECT i + 1 FROM n LIMIT 300)
INSERT INTO content SELECT i << 24, CAST('x' || char(13, 10) AS BLOB) FROM n;
COMMIT;
)sql";

class Migration : public ::testing::Test {
protected:
    std::string file() const { return (folder_.path() / "queue.db").string(); }

    void run(const char* sql, const char* vfs) {
        sqlite3* connection = nullptr;
        ASSERT_EQ(sqlite3_open_v2(file().c_str(), &connection,
                                  SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, vfs),
                  SQLITE_OK);
        EXPECT_EQ(sqlite3_exec(connection, sql, nullptr, nullptr, nullptr), SQLITE_OK)
            << sqlite3_errmsg(connection);
        sqlite3_close(connection);
        std::filesystem::permissions(file(), std::filesystem::perms(0600));
    }

    std::int64_t format(const char* vfs) {
        sqlite3* connection = nullptr;
        sqlite3_open_v2(file().c_str(), &connection, SQLITE_OPEN_READWRITE, vfs);
        std::int64_t found = -1;
        const auto take = [](void* into, int, char** values, char**) {
            *static_cast<std::int64_t*>(into) = std::atoll(values[0]);
            return 0;
        };
        sqlite3_exec(connection, "PRAGMA user_version", take, &found, nullptr);
        sqlite3_close(connection);
        return found;
    }

    Result<std::unique_ptr<Spool>> open(const char* vfs = "") {
        Spool::Options options;
        options.directory = folder_.path();
        options.free_space_floor = 0;
        options.vfs = vfs;
        return Spool::open(options, clock_, Log(lines_, "qmgr"));
    }

    /// Everything that the old store held, and the new verbs work.
    void expect_whole(Spool& spool) {
        EXPECT_TRUE(spool.check());
        const auto list = spool.list(0, 10000);
        ASSERT_TRUE(list);
        ASSERT_EQ(list->size(), std::size_t{kMessages});
        for (const ListedMessage& each : *list) {
            ASSERT_EQ(each.recipients.size(), 1U);
            ASSERT_EQ(each.recipients[0].recipient.address.domain, "example.com");
            ASSERT_EQ(*spool.read_piece(each.number, 0), "x\r\n");
        }
        EXPECT_EQ(spool.counts()->incoming, 100U);
        EXPECT_EQ(spool.counts()->deferred, 100U);
        EXPECT_EQ(spool.counts()->hold, 100U);
        EXPECT_TRUE(spool.troubles());
        ASSERT_TRUE(spool.begin());
        const auto leases = spool.lease_due(1000);
        ASSERT_TRUE(leases);
        EXPECT_EQ(leases->size(), 200U);
        for (int i = 0; i < 2; ++i) {
            NewMessage dropped =
                testing::message(*spool.reserve(1), clock_.now(), {"b@example.com"}, "x\r\n");
            dropped.drop = "a:1";
            EXPECT_TRUE(spool.commit(dropped, 0, "x\r\n"));
        }
        EXPECT_EQ(spool.counts()->incoming, 1U) << "the same file of maildrop";
        EXPECT_TRUE(spool.commit_transaction());
    }

    testing::TemporaryFolder folder_;
    ManualClock clock_;
    CapturedLog lines_;
};

TEST_F(Migration, OpensAStoreOfTheFirstFormat) {
    run(kFormat1, nullptr);
    {
        const auto spool = open();
        ASSERT_TRUE(spool) << spool.error().message;
        expect_whole(**spool);
    }
    EXPECT_EQ(format(nullptr), kFormat);
}

TEST_F(Migration, RefusesANewerFormatAndLeavesItAlone) {
    run(kFormat1, nullptr);
    run("PRAGMA user_version = 99", nullptr);
    const auto spool = open();
    ASSERT_FALSE(spool);
    EXPECT_THAT(spool.error().message, HasSubstr("newer postrider (format 99"));
    EXPECT_EQ(format(nullptr), 99);
}

// The power goes at each write of the migration in turn. The store is then of the old format or of
// the new, whole, and the next start finds all mail in it.
TEST_F(Migration, HoldsOrNeverWasWhenThePowerGoesAtAnyWrite) {
    std::mt19937 random(20260101);
    int rolled_back = 0;
    int migrated = 0;
    // Past the migration there is only what every start writes. Which blocks of the writes before
    // are on the disk is chance, so each is the last one ten times.
    for (int turn = 0; migrated < 30; ++turn) {
        const int nth = 1 + turn / 10;
        ASSERT_LT(nth, 500) << "the migration never gets through";
        SCOPED_TRACE("write " + std::to_string(nth));
        testing::FaultVfs vfs;
        for (const char* name : {"queue.db", "queue.db-wal", "queue.db-shm"}) {
            std::filesystem::remove(folder_.path() / name);
        }
        run(kFormat1, testing::FaultVfs::kName);
        vfs.fail(Operation::Write, nth, SQLITE_IOERR_WRITE, true);
        {
            auto spool = open(testing::FaultVfs::kName);
            vfs.cut_power();
        }
        vfs.restore_power(random);
        vfs.heal();
        const std::int64_t left = format(testing::FaultVfs::kName);
        ASSERT_TRUE(left == 1 || left == kFormat) << left;
        ++(left == 1 ? rolled_back : migrated);
        {
            auto spool = open(testing::FaultVfs::kName);
            ASSERT_TRUE(spool) << spool.error().message;
            expect_whole(**spool);
        }
        EXPECT_EQ(format(testing::FaultVfs::kName), kFormat);
        if (HasFailure()) break;
    }
    EXPECT_GT(rolled_back, 15) << "the cuts did not hit the migration";
}

}  // namespace
}  // namespace postrider::queue
