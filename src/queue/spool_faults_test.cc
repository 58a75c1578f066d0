// What the spool promises when the disk fails or the power goes: D2 to D6, R3 to R5.
#include <map>
#include <optional>
#include <ostream>
#include <random>
#include <set>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sqlite3.h>

#include "queue/inbox.h"
#include "queue/spool.h"
#include "queue/testing/fault_vfs.h"
#include "queue/testing/samples.h"

namespace postrider::queue {
namespace {

using Operation = testing::FaultVfs::Operation;
using Kind = mail::Disposition::Kind;

/// A spool on a disk that can fail, and the two books: what was accepted, what was refused.
class Disk {
public:
    explicit Disk(unsigned seed) : random_(seed) { start(); }

    testing::FaultVfs& vfs() { return vfs_; }
    Spool& spool() { return *spool_; }

    void start() {
        Spool::Options options;
        options.directory = folder_.path();
        options.free_space_floor = 0;
        options.pieces_in_database = 1;
        options.vfs = testing::FaultVfs::kName;
        auto opened = Spool::open(options, clock_, Log(lines_, "qmgr"));
        ASSERT_TRUE(opened) << opened.error().message;
        spool_ = std::move(*opened);
    }

    void cut_power() {
        vfs_.cut_power();
        spool_.reset();
        vfs_.restore_power(random_);
        unknown_.reset();
        start();
    }

    /// One transaction with one new message of some size; for one of three a transaction for each
    /// piece, all but the first of which go into a file.
    bool submit() {
        const bool large = random_() % 3 == 0;
        const std::size_t rest = 1 + random_() % 20000;
        if (next_ == end_ && !reserve()) return false;
        const std::uint64_t number = next_++;
        std::string content;
        std::uint32_t piece = 0;
        while (large && piece < 3) {
            const std::string bytes(Inbox::kPieceSize,
                                    static_cast<char>('a' + number % 20 + piece));
            if (!append(number, piece, bytes)) {
                refused_.insert(number);
                discard(number);
                return false;
            }
            content += bytes;
            ++piece;
        }
        const std::string last(rest, 'x');
        content += last;
        const auto message = testing::message(number, clock_.now(), {"b@example.com"}, content);
        messages_.emplace(number, message);
        bool accepted = spool_->begin().has_value();
        if (accepted) {
            // A call that failed is refused whatever becomes of its transaction.
            const bool taken = spool_->commit(message, piece, last).has_value();
            accepted = spool_->commit_transaction().has_value() && taken;
            if (taken && !accepted && spool_->is_broken()) {
                unknown_ = number;
                return false;
            }
        }
        (accepted ? accepted_ : refused_).insert(number);
        if (!accepted) discard(number);
        clock_.advance(std::chrono::seconds{1});
        return accepted;
    }

    /// Nobody is told of an unknown outcome before the spool knows; true if it does.
    bool resolve() {
        if (!spool_->is_broken()) return true;
        const auto holds = spool_->reopen();
        if (!holds) return false;
        if (unknown_) (*holds ? accepted_ : refused_).insert(*unknown_);
        unknown_.reset();
        return true;
    }

    /// One transaction that delivers the oldest message.
    void deliver() {
        if (!spool_->begin()) return;
        const auto leases = spool_->lease_due(1);
        const bool leased = spool_->commit_transaction() && leases && !leases->empty();
        if (!leased) return;
        Settlement settlement;
        settlement.number = leases->front().number;
        settlement.outcomes.push_back(testing::outcome(0, Kind::Sent));
        settlement.finished = true;
        // A promise of ours that is not kept by the disk is kept by asking again.
        for (int attempt = 0; attempt < 3; ++attempt) {
            if (!resolve()) continue;
            if (!spool_->begin()) continue;
            const auto settled = spool_->settle(settlement);
            if (spool_->commit_transaction() && settled) {
                delivered_.insert(settlement.number);
                return;
            }
        }
        unsure_.insert(settlement.number);
    }

    std::set<std::uint64_t> stored() {
        std::set<std::uint64_t> numbers;
        const auto list = spool_->list(0, 100000);
        EXPECT_TRUE(list);
        for (const auto& each : *list) numbers.insert(each.number);
        return numbers;
    }

    /// True if the store has said that transactions are missing that had been on the disk.
    bool missed_transactions() const {
        for (const std::string& line : lines_.lines()) {
            if (line.find("older than it was") != std::string::npos) return true;
        }
        return false;
    }

    /// Nothing accepted is missing, nothing refused and nothing delivered is back.
    std::string ledger() {
        const auto there = stored();
        std::string wrong;
        for (const auto number : accepted_) {
            const bool gone = delivered_.contains(number) || unsure_.contains(number);
            if (!gone && !there.contains(number)) wrong += " lost " + std::to_string(number);
        }
        for (const auto number : there) {
            if (refused_.contains(number)) wrong += " refused " + std::to_string(number);
            if (delivered_.contains(number)) wrong += " again " + std::to_string(number);
        }
        for (const auto number : there) {
            if (!is_whole(number)) wrong += " damaged " + std::to_string(number);
        }
        const auto checked = spool_->check();
        if (!checked) wrong += " " + checked.error().message;
        if (missed_transactions()) wrong += " a false alarm";
        return wrong;
    }

    std::mt19937& random() { return random_; }

private:
    bool append(std::uint64_t number, std::uint32_t piece, const std::string& bytes) {
        if (!spool_->begin()) return false;
        const auto appended = spool_->append(number, piece, bytes);
        return spool_->commit_transaction() && appended;
    }

    /// As the queue does after a refusal; whether it works or not.
    void discard(std::uint64_t number) {
        if (!spool_->begin()) return;
        (void)spool_->discard(number);
        (void)spool_->commit_transaction();
    }

    bool is_whole(std::uint64_t number) {
        Checksum checksum;
        std::uint64_t length = 0;
        for (std::uint32_t piece = 0;; ++piece) {
            const auto bytes = spool_->read_piece(number, piece);
            EXPECT_TRUE(bytes);
            if (!bytes || bytes->empty()) break;
            checksum.add(*bytes);
            length += bytes->size();
        }
        const NewMessage& message = messages_.at(number);
        return length == message.content_length && checksum.value() == message.checksum;
    }

    bool reserve() {
        if (!spool_->begin()) return false;
        const auto first = spool_->reserve(1000);
        if (!spool_->commit_transaction() || !first) return false;
        next_ = *first;
        end_ = *first + 1000;
        return true;
    }

    std::mt19937 random_;
    testing::TemporaryFolder folder_;
    testing::FaultVfs vfs_;
    CapturedLog lines_;
    ManualClock clock_;
    std::unique_ptr<Spool> spool_;
    std::uint64_t next_ = 0;
    std::uint64_t end_ = 0;
    std::map<std::uint64_t, NewMessage> messages_;
    std::set<std::uint64_t> accepted_;
    std::set<std::uint64_t> refused_;
    std::set<std::uint64_t> delivered_;
    std::set<std::uint64_t> unsure_;
    std::optional<std::uint64_t> unknown_;
};

unsigned new_seed() {
    return std::random_device{}();
}

TEST(SpoolFaults, APowerCutLosesNothingAccepted) {
    for (int round = 0; round < 15; ++round) {
        const unsigned seed = new_seed();
        SCOPED_TRACE("seed " + std::to_string(seed));
        Disk disk(seed);
        for (int cut = 0; cut < 3; ++cut) {
            for (unsigned i = 0; i < 1 + disk.random()() % 12; ++i) {
                EXPECT_TRUE(disk.submit());
                if (disk.random()() % 3 == 0) disk.deliver();
            }
            // In the middle of a transaction, too.
            if (cut == 1) {
                ASSERT_TRUE(disk.spool().begin());
                (void)disk.spool().reserve(1);
            }
            disk.cut_power();
            ASSERT_EQ(disk.ledger(), "");
        }
    }
}

TEST(SpoolFaults, WithoutSyncsThePowerCutTestWouldFail) {
    bool noticed = false;
    for (int round = 0; round < 5 && !noticed; ++round) {
        Disk disk(new_seed());
        disk.vfs().lie_about_syncs();
        for (int i = 0; i < 10; ++i) EXPECT_TRUE(disk.submit());
        disk.cut_power();
        noticed = disk.ledger() != "";
        EXPECT_TRUE(disk.missed_transactions()) << "a disk that lies is found out";
    }
    EXPECT_TRUE(noticed);
}

struct Fault {
    Operation operation;
    int code;
    bool for_good;
};

// GoogleTest would print its bytes, and some of them are padding.
void PrintTo(const Fault& fault, std::ostream* out) {
    *out << "operation " << static_cast<int>(fault.operation) << ", code " << fault.code
         << (fault.for_good ? ", for good" : ", once");
}

class SpoolFaultSweep : public ::testing::TestWithParam<Fault> {};

TEST_P(SpoolFaultSweep, AcceptedIsThereRefusedIsNotEvenAfterAPowerCut) {
    const Fault fault = GetParam();
    for (int nth = 1; nth <= 16; ++nth) {
        const unsigned seed = new_seed();
        SCOPED_TRACE("operation " + std::to_string(nth) + ", seed " + std::to_string(seed));
        Disk disk(seed);
        ASSERT_TRUE(disk.submit());
        disk.vfs().fail(fault.operation, nth, fault.code, fault.for_good);
        for (int i = 0; i < 5; ++i) {
            disk.submit();
            if (i % 2 == 1) disk.deliver();
        }
        // Half of the runs see the power fail right after the trouble, half see the disk mended.
        if (nth % 2 == 0) {
            disk.vfs().heal();
            ASSERT_TRUE(disk.resolve());
            ASSERT_EQ(disk.ledger(), "") << "after mending";
            EXPECT_TRUE(disk.submit());
            disk.deliver();
        }
        disk.cut_power();
        ASSERT_EQ(disk.ledger(), "");
    }
}

INSTANTIATE_TEST_SUITE_P(Faults, SpoolFaultSweep,
                         ::testing::Values(Fault{Operation::Sync, SQLITE_IOERR_FSYNC, false},
                                           Fault{Operation::Sync, SQLITE_IOERR_FSYNC, true},
                                           Fault{Operation::Write, SQLITE_IOERR_WRITE, false},
                                           Fault{Operation::Write, SQLITE_FULL, false},
                                           Fault{Operation::Write, SQLITE_FULL, true}));

TEST(SpoolFaults, ASyncThatFailsForGoodMeansNoAcceptanceAtAll) {
    Disk disk(new_seed());
    ASSERT_TRUE(disk.submit());
    disk.vfs().fail(Operation::Sync, 1, SQLITE_IOERR_FSYNC, true);

    EXPECT_FALSE(disk.submit());
    EXPECT_TRUE(disk.spool().is_broken());
    EXPECT_FALSE(disk.submit());
    EXPECT_FALSE(disk.resolve());

    disk.vfs().heal();
    ASSERT_TRUE(disk.resolve());
    EXPECT_EQ(disk.ledger(), "");
    EXPECT_TRUE(disk.submit());
    EXPECT_EQ(disk.ledger(), "");
}

// What a person is told of: once, and not for each message that just fits.
TEST(SpoolFaults, AFullDiskIsAShortageUntilMailHasBeenTakenForAWhile) {
    Disk disk(new_seed());
    ASSERT_TRUE(disk.submit());
    EXPECT_FALSE(disk.spool().shortage());

    disk.vfs().fail(Operation::Write, 1, SQLITE_FULL, true);
    EXPECT_FALSE(disk.submit());
    disk.vfs().heal();
    ASSERT_TRUE(disk.resolve());
    ASSERT_TRUE(disk.spool().shortage());
    EXPECT_EQ(disk.spool().shortage()->code, ErrorCode::DiskFull);

    for (int second = 0; second < 30; ++second) EXPECT_TRUE(disk.submit());
    EXPECT_TRUE(disk.spool().shortage());
    for (int second = 0; second < 31; ++second) EXPECT_TRUE(disk.submit());
    EXPECT_FALSE(disk.spool().shortage());
}

/// Where files are copied on write: what of the reserve each kind of transaction gets.
class ReserveForOutcomes : public ::testing::Test {
protected:
    void SetUp() override {
        Spool::Options options;
        options.directory = folder_.path();
        options.free_space_floor = 0;
        options.vfs = testing::FaultVfs::kName;
        options.in_place = false;
        auto opened = Spool::open(options, clock_, Log(lines_, "qmgr"));
        ASSERT_TRUE(opened) << opened.error().message;
        spool_ = std::move(*opened);
        ASSERT_EQ(megabytes(), 32U);
        ASSERT_TRUE(submit());
    }
    template <typename Body>
    Result<void> transact(Body body) {
        if (auto begun = spool_->begin(); !begun) return begun;
        const auto done = body();
        const auto committed = spool_->commit_transaction();
        if (!done) return Unexpected(done.error());
        return committed;
    }
    Result<void> submit() {
        return transact([&]() -> Result<void> {
            const auto number = spool_->reserve(1);
            if (!number) return Unexpected(number.error());
            return spool_->commit(
                testing::message(*number, clock_.now(), {"b@example.com"}, "x\r\n"), 0, "x\r\n");
        });
    }
    Settlement sent() {
        (void)spool_->begin();
        const auto leases = spool_->lease_due(1);
        (void)spool_->commit_transaction();
        Settlement settlement;
        settlement.number = leases->front().number;
        settlement.outcomes.push_back(testing::outcome(0, Kind::Sent));
        settlement.finished = true;
        return settlement;
    }
    Result<void> settle(const Settlement& settlement) {
        return transact([&]() -> Result<Settled> { return spool_->settle(settlement); });
    }
    void no_room_for_the_next_write() { vfs_.fail(Operation::Write, 1, SQLITE_FULL); }
    std::uintmax_t megabytes() const {
        return std::filesystem::file_size(folder_.path() / "queue.reserve") >> 20;
    }

    testing::FaultVfs vfs_;
    testing::TemporaryFolder folder_;
    ManualClock clock_;
    CapturedLog lines_;
    std::unique_ptr<Spool> spool_;
};

TEST_F(ReserveForOutcomes, AnOutcomeGetsASliceAndIsTriedAgain) {
    const Settlement settlement = sent();
    no_room_for_the_next_write();
    EXPECT_EQ(settle(settlement).error().code, ErrorCode::DiskFull);
    EXPECT_TRUE(spool_->made_room());
    EXPECT_EQ(megabytes(), 24U) << "one slice, not two";
    EXPECT_TRUE(settle(settlement));
    EXPECT_FALSE(spool_->made_room());
    EXPECT_EQ(spool_->list(0, 10)->size(), 0U);
}

TEST_F(ReserveForOutcomes, MailThatComesInGetsNone) {
    no_room_for_the_next_write();
    EXPECT_EQ(submit().error().code, ErrorCode::DiskFull);
    EXPECT_FALSE(spool_->made_room());
    EXPECT_EQ(megabytes(), 32U);
}

TEST_F(ReserveForOutcomes, NorDoesWhatCanBeDoneLater) {
    no_room_for_the_next_write();
    EXPECT_EQ(transact([&] { return spool_->reserve(100); }).error().code, ErrorCode::DiskFull);
    EXPECT_FALSE(spool_->made_room());
    EXPECT_EQ(megabytes(), 32U);
}

TEST_F(ReserveForOutcomes, ComesBackSliceBySlice) {
    const Settlement settlement = sent();
    no_room_for_the_next_write();
    EXPECT_FALSE(settle(settlement));
    ASSERT_TRUE(spool_->lacks_reserve());
    ASSERT_TRUE(spool_->checkpoint(true));
    EXPECT_EQ(megabytes(), 24U) << "not at once: whoever filled the disk may go on";
    clock_.advance(std::chrono::seconds{11});
    ASSERT_TRUE(spool_->checkpoint(true));
    EXPECT_EQ(megabytes(), 32U);
    EXPECT_FALSE(spool_->lacks_reserve());
}

TEST(SpoolFaults, TheMessageAfterAFailedSyncIsFine) {
    Disk disk(new_seed());
    ASSERT_TRUE(disk.submit());
    disk.vfs().fail(Operation::Sync, 1, SQLITE_IOERR_FSYNC);
    (void)disk.submit();
    EXPECT_FALSE(disk.spool().is_broken());
    EXPECT_TRUE(disk.submit());
    disk.cut_power();
    EXPECT_EQ(disk.ledger(), "");
}

}  // namespace
}  // namespace postrider::queue
