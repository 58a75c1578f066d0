// Damaged files (D12) and damaged messages (D13): never invented data, and no silence.
#include <algorithm>
#include <fstream>
#include <iterator>
#include <map>
#include <random>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sqlite3.h>

#include "queue/inbox.h"
#include "queue/testing/spool_test_world.h"

namespace postrider::queue {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::Kind;

std::string bytes_of(const std::filesystem::path& file) {
    std::string bytes(std::filesystem::file_size(file), '\0');
    std::ifstream(file, std::ios::binary)
        .read(bytes.data(), static_cast<std::streamsize>(bytes.size()));
    return bytes;
}

void write_bytes(const std::filesystem::path& file, const std::string& bytes) {
    std::ofstream(file, std::ios::binary | std::ios::trunc) << bytes;
}

class Damage : public testing::SpoolOnDisk {
protected:
    /// Changes the database behind the spool's back.
    void meddle(const std::string& sql) {
        spool_.reset();
        sqlite3* connection = nullptr;
        ASSERT_EQ(sqlite3_open(file("queue.db").c_str(), &connection), SQLITE_OK);
        EXPECT_EQ(sqlite3_exec(connection, sql.c_str(), nullptr, nullptr, nullptr), SQLITE_OK)
            << sqlite3_errmsg(connection);
        sqlite3_close(connection);
        reopen();
    }
    std::string number_of(const mail::QueueId& id) { return std::to_string(find(id)->number); }
};

TEST_F(Damage, AnAddressThatChangedStopsItsMessageAndNoOther) {
    const auto good = commit();
    const auto bad = commit({"b@example.com", "c@example.com"});
    meddle("UPDATE recipient SET domain = 'evil.example' WHERE local_part = 'c'");

    EXPECT_THAT(leased_ids(), ElementsAre(good.str()));

    EXPECT_THAT(lines_.lines(), Contains(HasSubstr("damaged row; not delivered, kept")));
    const auto list = spool_->list(0, 10);
    ASSERT_TRUE(list);
    ASSERT_EQ(list->size(), 2U);
    EXPECT_EQ((*list)[1].id, bad);
    EXPECT_EQ((*list)[1].place, ListedMessage::Place::Dead);
    EXPECT_THAT((*list)[1].damage, HasSubstr("damaged row"));
    ASSERT_EQ((*list)[1].recipients.size(), 1U);
    EXPECT_EQ(mail::internal((*list)[1].recipients[0].recipient.address), "b@example.com");
}

TEST_F(Damage, AMessageWhoseRowIsDamagedIsListedAndCanBeRemoved) {
    const auto id = commit();
    meddle("UPDATE message SET sender_local = 'mallory' WHERE number = " + number_of(id));

    EXPECT_EQ(lease().size(), 0U);
    const auto list = spool_->list(0, 10);
    ASSERT_TRUE(list);
    ASSERT_EQ(list->size(), 1U);
    EXPECT_THAT((*list)[0].damage, HasSubstr("damaged row"));
    EXPECT_EQ(find((*list)[0].id)->damage, (*list)[0].damage);
    EXPECT_EQ(operate(&Spool::hold, (*list)[0].id), 0U);

    EXPECT_EQ(operate(&Spool::remove, (*list)[0].id), 1U);
    EXPECT_EQ(counts().incoming + counts().active + counts().dead, 0U);
}

TEST_F(Damage, WhoWaitsIsCountedAnewWhenADamagedMessageGoes) {
    const auto wait_for = [&](const std::string& account) {
        const auto id = commit();
        Settlement settlement = finish(lease().at(0), Kind::Deferred);
        settlement.waits_for = account;
        settle(settlement);
        return id;
    };
    wait_for("a");
    const auto id = wait_for("b");
    meddle("UPDATE message SET sender_local = 'mallory' WHERE number = " + number_of(id));
    EXPECT_EQ(spool_->waiting_counts()->size(), 2U);

    EXPECT_EQ(operate(&Spool::remove, spool_->list(0, 10)->at(1).id), 1U);
    EXPECT_EQ(*spool_->waiting_counts(), (std::map<std::string, std::uint64_t>{{"a", 1}}));
}

TEST_F(Damage, AMissingRecipientIsNoticed) {
    commit({"b@example.com", "c@example.com"});
    meddle("DELETE FROM recipient WHERE local_part = 'c'");
    EXPECT_EQ(lease().size(), 0U);
    EXPECT_THAT(lines_.lines(), Contains(HasSubstr("recipients are missing; not delivered, kept")));
}

// D14.
TEST_F(Damage, AStoreThatWasMovedAwayTakesNoNewMailButRecordsOutcomes) {
    commit();
    const Lease sent = lease().at(0);
    const NewMessage late = new_message({"b@example.com"}, "x\r\n");
    const std::filesystem::path away = folder_.path() / "away";
    for (const bool is_replaced : {false, true}) {
        std::filesystem::rename(file("queue.db"), away);
        if (is_replaced) write_bytes(file("queue.db"), "");
        const auto taken = transact([&] { return spool_->commit(late, 0, "x\r\n"); });
        ASSERT_FALSE(taken);
        EXPECT_THAT(taken.error().message, HasSubstr("queue.db is not the file that is open"));
        ASSERT_TRUE(spool_->shortage()) << "a person is told";
        if (is_replaced) {
            EXPECT_TRUE(settle(finish(sent, Kind::Sent)).removed);
        }
        std::filesystem::rename(away, file("queue.db"));
    }
    clock_.advance(std::chrono::minutes{10});
    ASSERT_TRUE(transact([&] { return spool_->commit(late, 0, "x\r\n"); }));
    EXPECT_FALSE(spool_->shortage());
    reopen();
    EXPECT_THAT(leased_ids(), ElementsAre(late.ticket.id.str()));
}

// Else it would be put on hold as damaged, and stay there when the directory is put back.
TEST_F(Damage, ContentThatWasMovedAwayWithItsStoreIsNotTakenForMissing) {
    const std::string piece(Inbox::kPieceSize, 'x');
    std::string content;
    for (int i = 0; i < 5; ++i) content += piece;
    const NewMessage message = new_message({"b@example.com"}, content);
    const std::uint64_t number = message.ticket.number;
    for (std::uint32_t i = 0; i < 4; ++i) {
        ASSERT_TRUE(transact([&] { return spool_->append(number, i, piece); }));
    }
    ASSERT_TRUE(transact([&] { return spool_->commit(message, 4, piece); }));
    const std::filesystem::path away = folder_.path().string() + ".away";
    std::filesystem::rename(folder_.path(), away);
    std::filesystem::create_directory(folder_.path());

    const auto read = spool_->read_piece(number, 4);
    ASSERT_FALSE(read);
    EXPECT_THAT(read.error().message, HasSubstr("queue.db is not the file that is open"));

    std::filesystem::remove(folder_.path());
    std::filesystem::rename(away, folder_.path());
    EXPECT_EQ(*spool_->read_piece(number, 4), piece);
    EXPECT_EQ(*spool_->read_piece(number, 5), "") << "nor is the end";
}

TEST_F(Damage, RowsOfOlderFormatsAreTakenAsTheyAre) {
    commit();
    meddle("UPDATE message SET row_check = NULL; UPDATE recipient SET row_check = NULL");
    EXPECT_EQ(lease().size(), 1U);
}

/// What was stored, to compare with what is read.
struct Original {
    std::string content;
    std::string to;
};

class DamagedFiles : public Damage {
protected:
    /// Three files as a killed process leaves them, with mail in the database and in the log.
    void SetUp() override {
        for (int i = 0; i < 30; ++i) add(i);
        for (const Lease& each : lease(10)) settle(finish(each, Kind::Deferred));
        ASSERT_TRUE(spool_->checkpoint(true));
        for (int i = 30; i < 40; ++i) add(i);
        for (const char* name : {"queue.db", "queue.db-wal", "queue.db-shm"}) {
            if (!std::filesystem::exists(file(name))) continue;  // The last, if copied on write.
            names_.push_back(name);
            saved_[name] = bytes_of(file(name));
        }
        spool_.reset();
    }
    void add(int i) {
        std::mt19937 random(static_cast<unsigned>(i));
        Original original;
        for (int n = 10 + i * 400; n > 0; --n)
            original.content += static_cast<char>('a' + random() % 26);
        original.content += "\r\n";
        original.to = "user" + std::to_string(i) + "@corp.example";
        originals_[commit({original.to}, original.content).str()] = original;
    }
    void restore() {
        for (const char* name : names_) write_bytes(file(name), saved_[name]);
        std::filesystem::remove(file("queue.leases"));
    }
    /// Empty, or what was read and never stored; counts what became of the store.
    std::string read_all() {
        auto opened = try_open();
        if (!opened) {
            ++refused_;
            return opened.error().message.empty() ? "refused without a reason" : "";
        }
        spool_ = std::move(*opened);
        const auto list = spool_->list(0, 1000);
        if (!list) {
            ++refused_;
            spool_.reset();
            return "";
        }
        std::string wrong;
        bool error = list->size() < originals_.size();
        for (const ListedMessage& listed : *list) {
            if (!listed.damage.empty()) {
                error = true;
                continue;
            }
            wrong += compare(listed, error);
        }
        ++(error ? noticed_ : whole_);
        spool_.reset();
        return wrong;
    }
    std::string compare(const ListedMessage& listed, bool& error) {
        const auto original = originals_.find(listed.id.str());
        if (original == originals_.end()) return " invented " + listed.id.str();
        if (listed.recipients.size() != 1) {
            error = true;  // The lease refuses it: recipients are missing.
            return "";
        }
        if (mail::internal(listed.recipients[0].recipient.address) != original->second.to) {
            return " another recipient";
        }
        const auto content = spool_->read_piece(listed.number, 0);
        if (!content || *content != original->second.content) {
            // Its checksum tells whoever sends it; here it must only not be taken for the original.
            Checksum checksum;
            if (content) checksum.add(*content);
            Checksum right;
            right.add(original->second.content);
            if (content && checksum.value() == right.value()) return " other content";
            error = true;
        }
        return "";
    }

    std::vector<const char*> names_;
    std::map<std::string, std::string> saved_;
    std::map<std::string, Original> originals_;
    int refused_ = 0;
    int noticed_ = 0;
    int whole_ = 0;
};

TEST_F(DamagedFiles, NeverYieldWhatWasNotStored) {
    const unsigned seed = std::random_device()();
    SCOPED_TRACE("seed " + std::to_string(seed));
    std::mt19937 random(seed);
    restore();
    ASSERT_EQ(read_all(), "");
    ASSERT_EQ(whole_, 1) << "the copies are whole before they are damaged";
    for (int round = 0; round < 120; ++round) {
        restore();
        const char* name = names_[static_cast<std::size_t>(round) % names_.size()];
        std::string bytes = saved_[name];
        const std::size_t used =
            std::min<std::size_t>(bytes.size(), name == names_[1] ? 300000 : bytes.size());
        const std::size_t at = random() % used;
        const int kind = round / 3 % 5;
        const std::size_t length = std::min<std::size_t>(1 + random() % 5000, bytes.size() - at);
        if (kind == 0) bytes.resize(at);
        if (kind == 1) bytes.replace(at, length, length, '\0');
        if (kind == 2) {
            for (std::size_t i = 0; i < length; ++i) bytes[at + i] = static_cast<char>(random());
        }
        if (kind == 3) bytes[at] = static_cast<char>(bytes[at] ^ (1 << random() % 8));
        if (kind == 4)
            bytes.replace(at / 4096 * 4096, 4096,
                          bytes.substr(random() % used / 4096 * 4096, 4096));
        write_bytes(file(name), bytes);
        ASSERT_EQ(read_all(), "") << name << " kind " << kind << " at " << at << " length "
                                  << length;
    }
    EXPECT_GT(noticed_, 0);
    EXPECT_GT(whole_, 0) << "damage to the shared memory alone loses nothing";
}

TEST_F(DamagedFiles, WithoutAFirstPageAreRefused) {
    restore();
    std::filesystem::remove(file("queue.db-wal"));
    write_bytes(file("queue.db"), saved_["queue.db"].replace(0, 4096, 4096, '\0'));
    EXPECT_EQ(read_all(), "");
    EXPECT_EQ(refused_, 1);
}

TEST_F(DamagedFiles, TheDatabaseOfAnotherIsRefusedAndLeftAlone) {
    restore();
    write_bytes(file("queue.db"), bytes_of(file("queue.db")).replace(68, 4, "otto"));
    std::filesystem::remove(file("queue.db-wal"));
    const std::string before = bytes_of(file("queue.db"));
    EXPECT_THAT(refusal(), HasSubstr("not a postrider queue"));
    EXPECT_EQ(bytes_of(file("queue.db")), before);
}

TEST_F(DamagedFiles, AFileThatIsGoneWhileItsLogIsThereIsNoEmptyQueue) {
    restore();
    std::filesystem::remove(file("queue.db"));
    EXPECT_NE(refusal(), "opened");
}

constexpr const char* kOlder = "older than it was";

/// A log that is damaged under a running daemon, which goes on writing to it.
class DamagedLog : public Damage {
protected:
    void SetUp() override {
        commit();
        reopen();  // In good order: all is in the database, and the log is written anew.
        commit();
    }
    /// As a killed process leaves them: without a copy, the end of the spool would mend it.
    void die_and_restart() {
        const std::string database = bytes_of(file("queue.db"));
        const std::string log = bytes_of(file("queue.db-wal"));
        spool_.reset();
        write_bytes(file("queue.db"), database);
        write_bytes(file("queue.db-wal"), log);
        std::filesystem::remove(file("queue.db-shm"));
        reopen();
    }
    std::string said(const char* what = "queue.db-wal: damaged") const {
        for (const std::string& line : lines_.lines()) {
            if (line.find(what) != std::string::npos) return line;
        }
        return "nothing";
    }
    /// Where the log was changed since it was `before`.
    std::size_t change_since(const std::string& before) {
        const std::string after = bytes_of(file("queue.db-wal"));
        const auto [at, other] = std::mismatch(before.begin(), before.end(), after.begin());
        return static_cast<std::size_t>(at - before.begin());
    }
    void overwrite(std::size_t from, std::size_t to, char fill = '\0') {
        std::fstream log(file("queue.db-wal"), std::ios::in | std::ios::out | std::ios::binary);
        log.seekp(static_cast<std::streamoff>(from));
        log << std::string(to - from, fill);
    }
    std::size_t size_of_log() { return std::filesystem::file_size(file("queue.db-wal")); }
};

TEST_F(DamagedLog, ThatIsWholeIsNotComplainedOf) {
    commit();
    die_and_restart();
    EXPECT_EQ(said(), "nothing");
    EXPECT_EQ(counts().incoming, 3U);
}

TEST_F(DamagedLog, CutBehindItsBeginningIsNoticed) {
    std::filesystem::resize_file(file("queue.db-wal"), 100);
    for (int i = 0; i < 3; ++i) commit();
    die_and_restart();
    EXPECT_LT(counts().incoming, 5U) << "there was damage";
    EXPECT_THAT(said(), HasSubstr("there is more; mail that it held is lost"));
}

TEST_F(DamagedLog, OverwrittenIsNoticed) {
    overwrite(0, size_of_log());
    for (int i = 0; i < 3; ++i) commit();
    die_and_restart();
    EXPECT_THAT(said(), HasSubstr("its beginning is"));
}

TEST_F(DamagedLog, ThatIsGoneIsNoticed) {
    std::filesystem::remove(file("queue.db-wal"));
    commit();
    const std::string database = bytes_of(file("queue.db"));
    spool_.reset();
    write_bytes(file("queue.db"), database);
    std::filesystem::remove(file("queue.db-wal"));
    std::filesystem::remove(file("queue.db-shm"));
    reopen();
    EXPECT_THAT(said(), HasSubstr("it is gone"));
}

TEST_F(DamagedLog, ThatLacksOnlyItsLastTransactionIsWhatAPowerCutLeaves) {
    const std::string before = bytes_of(file("queue.db-wal"));
    const std::string witness = bytes_of(file("queue.witness"));
    commit();
    const std::size_t from = change_since(before);
    overwrite(from, from + 4096, '\xff');
    write_bytes(file("queue.witness"), witness);
    die_and_restart();
    EXPECT_EQ(counts().incoming, 2U);
    EXPECT_EQ(said(), "nothing");
    EXPECT_EQ(said(kOlder), "nothing");
}

TEST_F(DamagedLog, ThatLostItsEndIsNoticedAndSaidOnce) {
    for (const bool is_cut : {true, false}) {
        commit();  // The log is begun anew by it.
        lines_.clear();
        const auto there = counts().incoming;
        const std::string before = bytes_of(file("queue.db-wal"));
        commit();
        if (is_cut) {
            std::filesystem::resize_file(file("queue.db-wal"), change_since(before));
        } else {
            overwrite(change_since(before), size_of_log());
        }
        die_and_restart();
        EXPECT_EQ(counts().incoming, there);
        EXPECT_THAT(said(kOlder), HasSubstr("mail that it held is lost"));
        EXPECT_EQ(said(), "nothing") << "what is left of the log is sound";
        lines_.clear();
        commit();
        die_and_restart();
        EXPECT_EQ(said(kOlder), "nothing");
        EXPECT_EQ(counts().incoming, there + 1);
    }
}

TEST_F(DamagedLog, AnOlderStoreThatWasPutBackIsNoticed) {
    spool_.reset();
    const std::string older = bytes_of(file("queue.db"));
    reopen();
    commit();
    spool_.reset();
    EXPECT_EQ(said(kOlder), "nothing");
    write_bytes(file("queue.db"), older);
    overwrite(0, size_of_log());
    reopen();
    EXPECT_EQ(counts().incoming, 2U);
    EXPECT_THAT(said(kOlder), HasSubstr("mail that it held is lost"));
}

TEST_F(DamagedLog, AStoreThatIsGoneWithItsLogIsNoticed) {
    spool_.reset();
    for (const char* name : {"queue.db", "queue.db-wal", "queue.db-shm"})
        std::filesystem::remove(file(name));
    reopen();
    EXPECT_THAT(said(kOlder), HasSubstr("the last that is there is 0;"));
}

TEST_F(DamagedLog, WithoutAWitnessTheStoreWorks) {
    spool_.reset();
    std::filesystem::remove(file("queue.witness"));
    std::filesystem::create_directory(file("queue.witness"));
    reopen();
    EXPECT_THAT(said("cannot be noticed"), HasSubstr("queue.witness"));
    commit();
    EXPECT_EQ(counts().incoming, 3U);
}

}  // namespace
}  // namespace postrider::queue
