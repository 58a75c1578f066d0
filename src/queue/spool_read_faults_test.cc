// A read that fails may undo the transaction that it is part of, and with it mail that has been
// taken in but not yet answered (R4).
#include <functional>
#include <ostream>
#include <string>
#include <tuple>

#include <gtest/gtest.h>
#include <sqlite3.h>

#include "queue/spool.h"
#include "queue/testing/fault_vfs.h"
#include "queue/testing/samples.h"

namespace postrider::queue {
namespace {

using Operation = testing::FaultVfs::Operation;

struct Fault {
    std::string name;
    Operation operation;
    int code;
    friend void PrintTo(const Fault& fault, std::ostream* out) { *out << fault.name; }
};
struct Read {
    std::string name;
    std::function<bool(Spool&)> succeeds;
    friend void PrintTo(const Read& read, std::ostream* out) { *out << read.name; }
};

constexpr std::uint64_t kOld = 40;
constexpr std::uint64_t kLast = 500;
/// Reserved at the start, so that numbers are known.
constexpr std::uint64_t kFirst = 0x10000;

/// Wants pages that are not in memory, for which others must go to the log.
const Read kReads[] = {
    {"LeaseDue", [](Spool& spool) { return spool.lease_due(100).has_value(); }},
    {"ReadPiece", [](Spool& spool) { return spool.read_piece(kFirst + 20, 0).has_value(); }},
};
const Fault kFaults[] = {
    {"NoRoomForTheCache", Operation::Write, SQLITE_FULL},
    {"NoMemory", Operation::Read, SQLITE_IOERR_NOMEM},
    {"Unreadable", Operation::Read, SQLITE_IOERR_READ},
};

class SpoolReadFaults : public ::testing::TestWithParam<std::tuple<Read, Fault>> {
protected:
    SpoolReadFaults() {
        start();
        EXPECT_TRUE(spool_->begin());
        EXPECT_EQ(*spool_->reserve(1000), kFirst);
        EXPECT_TRUE(spool_->commit_transaction());
        for (std::uint64_t i = 0; i < kOld; ++i) {
            EXPECT_TRUE(spool_->begin());
            EXPECT_TRUE(take_in(kFirst + i));
            EXPECT_TRUE(spool_->commit_transaction());
        }
        spool_.reset();
        start();
    }

    void start() {
        Spool::Options options;
        options.directory = folder_.path();
        options.free_space_floor = 0;
        options.vfs = testing::FaultVfs::kName;
        auto opened = Spool::open(options, clock_, Log(lines_, "qmgr"));
        ASSERT_TRUE(opened) << opened.error().message;
        spool_ = std::move(*opened);
    }

    bool take_in(std::uint64_t number) {
        const std::string content(60000, 'x');
        const auto message = testing::message(number, clock_.now(), {"b@example.com"}, content);
        return spool_->commit(message, 0, content).has_value();
    }

    std::size_t stored() {
        const auto all = spool_->list(0, 1000);
        EXPECT_TRUE(all);
        const auto counted = spool_->counts();
        EXPECT_TRUE(counted);
        EXPECT_EQ(counted->incoming + counted->active, all->size());
        return all->size();
    }

    testing::TemporaryFolder folder_;
    testing::FaultVfs vfs_;
    CapturedLog lines_;
    ManualClock clock_;
    std::unique_ptr<Spool> spool_;
};

INSTANTIATE_TEST_SUITE_P(All, SpoolReadFaults,
                         ::testing::Combine(::testing::ValuesIn(kReads),
                                            ::testing::ValuesIn(kFaults)),
                         [](const auto& both) {
                             return std::get<0>(both.param).name + std::get<1>(both.param).name;
                         });

TEST_P(SpoolReadFaults, AreAnsweredToAllOfTheirTransaction) {
    const auto& [read, fault] = GetParam();
    ASSERT_TRUE(spool_->begin());
    std::size_t taken = 0;
    const int written = vfs_.count(Operation::Write);
    while (vfs_.count(Operation::Write) == written && taken < 200) {
        ASSERT_TRUE(take_in(kFirst + kOld + taken++));
    }
    ASSERT_LT(taken, 200U) << "the cache is full now";

    vfs_.fail(fault.operation, 1, fault.code);
    bool told = !read.succeeds(*spool_);
    // What the cache has no room for is gathered before it is written.
    while (!told && fault.operation == Operation::Write && taken < 400) {
        told = !take_in(kFirst + kOld + taken);
        if (!told) ++taken;
        told = told || !read.succeeds(*spool_);
    }
    ASSERT_TRUE(told);
    vfs_.heal();
    const bool last = take_in(kFirst + kLast);
    const bool holds = spool_->commit_transaction().has_value();

    EXPECT_TRUE(last || !holds);
    EXPECT_EQ(stored(), holds ? kOld + taken + 1 : kOld);
    ASSERT_TRUE(spool_->begin()) << "all is well again";
    EXPECT_TRUE(take_in(kFirst + kLast + 1));
    EXPECT_TRUE(spool_->commit_transaction());
}

}  // namespace
}  // namespace postrider::queue
