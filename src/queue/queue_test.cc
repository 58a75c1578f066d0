#include "queue/queue.h"

#include <chrono>

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sqlite3.h>

#include "queue/storage_thread.h"
#include "queue/testing/fault_vfs.h"
#include "queue/testing/loop.h"
#include "queue/testing/samples.h"

namespace postrider::queue {
namespace {

using Kind = mail::Disposition::Kind;

class QueueTest : public ::testing::TestWithParam<Queue::Storage> {
protected:
    QueueTest() { start(); }

    void start() {
        Spool::Options options;
        options.directory = folder_.path();
        options.free_space_floor = 0;
        options.vfs = testing::FaultVfs::kName;
        auto spool = Spool::open(options, clock_, Log(lines_, "qmgr"));
        EXPECT_TRUE(spool);
        queue_ = std::make_unique<Queue>(std::move(*spool), loop_.executor(), clock_,
                                         Log(lines_, "qmgr"), GetParam());
        queue_->on_health([this](const std::optional<Error>& trouble) {
            told_.push_back(trouble ? std::optional(trouble->code) : std::nullopt);
        });
    }

    net::Awaitable<void> submit(std::uint64_t number) {
        const std::string content = "Subject: x\r\n\r\nhello\r\n";
        auto message = testing::message(number, clock_.now(), {"b@example.com"}, content);
        const auto done = co_await queue_->commit(std::move(message), 0, content);
        (done ? accepted_ : refused_)++;
    }

    /// With the number of one that is there, which shows when its file has been noted.
    net::Awaitable<void> submit_torn(std::uint64_t number) {
        auto message = testing::message(number, clock_.now(), {"b@example.com"}, "x\r\n");
        message.drop = "torn";
        const auto done = co_await queue_->commit(std::move(message), 0, std::string("x\r\n"));
        (done ? accepted_ : refused_)++;
    }

    net::Awaitable<void> append(std::uint64_t number) {
        std::string piece(64 * 1024, 'x');
        (void)co_await queue_->append(number, 0, std::move(piece));
    }
    net::Awaitable<void> read(std::uint64_t number) {
        (void)co_await queue_->read_piece(number, 0);
    }

    net::Awaitable<void> defer(std::uint64_t number) {
        Settlement settlement;
        settlement.number = number;
        settlement.outcomes.push_back(testing::outcome(0, Kind::Deferred));
        settlement.next_attempt = clock_.now() + std::chrono::hours(1);
        settlement.finished = true;
        const auto settled = co_await queue_->settle(std::move(settlement));
        EXPECT_TRUE(settled);
        ++deferred_;
    }
    /// Commits `count` messages and leases them.
    std::uint64_t lease(std::uint32_t count) {
        const auto first = reserve(count);
        for (std::uint32_t i = 0; i < count; ++i) loop_.spawn(submit(first + i));
        EXPECT_TRUE(loop_.run_all());
        EXPECT_EQ(loop_.run(queue_->lease_due(count))->size(), count);
        return first;
    }

    net::Awaitable<void> probe() {
        if (!queue_) co_return;
        const auto counts = co_await queue_->counts();
        if (!counts) broken_ = true;
    }
    /// A call in the batch that breaks the store is not answered; those after it are refused.
    void wait_until_broken() {
        ASSERT_TRUE(loop_.run_while([&] {
            if (!broken_) loop_.spawn(probe());
            return !broken_;
        }));
    }

    std::uint64_t reserve(std::uint32_t count) { return *loop_.run(queue_->reserve(count)); }

    testing::TemporaryFolder folder_;
    testing::FaultVfs vfs_;
    CapturedLog lines_;
    SystemClock clock_;
    testing::Loop loop_;
    std::unique_ptr<Queue> queue_;
    int accepted_ = 0;
    int refused_ = 0;
    int deferred_ = 0;
    bool broken_ = false;
    std::vector<std::optional<ErrorCode>> told_;  ///< By on_health().
};

INSTANTIATE_TEST_SUITE_P(Storage, QueueTest,
                         ::testing::Values(Queue::Storage::Thread, Queue::Storage::Inline),
                         [](const auto& storage) {
                             return storage.param == Queue::Storage::Thread ? "Thread" : "Inline";
                         });

TEST_P(QueueTest, TellsOnceOfAStoreThatBreaksAndOnceOfItsRepair) {
    const auto first = reserve(3);
    vfs_.fail(testing::FaultVfs::Operation::Sync, 1, SQLITE_IOERR_FSYNC, true);
    loop_.spawn(submit(first));
    ASSERT_TRUE(loop_.run_while([&] { return told_.empty(); }));
    wait_until_broken();
    vfs_.heal();
    ASSERT_TRUE(loop_.run_while([&] { return told_.size() < 2; }));

    EXPECT_THAT(told_, ::testing::ElementsAre(ErrorCode::Unavailable, std::nullopt));
    loop_.spawn(submit(first + 1));
    ASSERT_TRUE(loop_.run_all());
    EXPECT_EQ(told_.size(), 2U);
}

// The control: what a second attempt mends needs no person.
TEST_P(QueueTest, TellsNobodyOfOneSyncThatFails) {
    const auto first = reserve(2);
    vfs_.fail(testing::FaultVfs::Operation::Sync, 1, SQLITE_IOERR_FSYNC);
    loop_.spawn(submit(first));
    ASSERT_TRUE(loop_.run_all());
    loop_.spawn(submit(first + 1));
    ASSERT_TRUE(loop_.run_all());

    EXPECT_THAT(told_, ::testing::IsEmpty());
}

TEST_P(QueueTest, CommitsThatWaitTogetherShareATransaction) {
    const auto first = reserve(200);
    const auto before = queue_->transaction_count();
    for (std::uint64_t i = 0; i < 200; ++i) loop_.spawn(submit(first + i));
    ASSERT_TRUE(loop_.run_all());

    EXPECT_EQ(accepted_, 200);
    EXPECT_LE(queue_->transaction_count() - before, 20U);
    EXPECT_EQ(loop_.run(queue_->counts())->incoming, 200U);
}

TEST_P(QueueTest, TellsThatMailIsDue) {
    int told = 0;
    queue_->on_due([&] { ++told; });
    const auto first = reserve(1);
    EXPECT_EQ(told, 0);
    loop_.spawn(submit(first));
    ASSERT_TRUE(loop_.run_all());
    EXPECT_EQ(told, 1);
}

TEST_P(QueueTest, DeliversOneMessageFromEndToEnd) {
    loop_.spawn(submit(reserve(1)));
    ASSERT_TRUE(loop_.run_all());
    const auto leases = loop_.run(queue_->lease_due(10));
    ASSERT_EQ(leases->size(), 1U);
    EXPECT_EQ(*loop_.run(queue_->read_piece(leases->front().number, 0)),
              "Subject: x\r\n\r\nhello\r\n");
    Settlement settlement;
    settlement.number = leases->front().number;
    settlement.outcomes.push_back(testing::outcome(0, Kind::Sent));
    settlement.finished = true;
    EXPECT_TRUE(loop_.run(queue_->settle(settlement))->removed);
    EXPECT_EQ(loop_.run(queue_->counts())->active, 0U);
    EXPECT_FALSE(loop_.run(queue_->next_due())->has_value());
}

TEST_P(QueueTest, ADeferralSharesTheSyncOfACommit) {
    const auto first = lease(1);
    const auto second = reserve(1);
    const auto before = queue_->transaction_count();
    loop_.spawn(defer(first));
    loop_.spawn(submit(second));
    ASSERT_TRUE(loop_.run_all());
    EXPECT_EQ(deferred_ + accepted_, 1 + 2);
    EXPECT_EQ(queue_->transaction_count() - before, 1U);
}

TEST_P(QueueTest, ADeferralAloneIsRecordedAfterAWhile) {
    const auto first = lease(1);
    const auto begun = std::chrono::steady_clock::now();
    loop_.spawn(defer(first));
    // Delivery's own looks at the queue do not hurry it.
    EXPECT_EQ(loop_.run_once(queue_->lease_due(10))->size(), 0U);
    EXPECT_FALSE(loop_.run_once(queue_->next_due())->has_value());
    ASSERT_TRUE(loop_.run_all());
    EXPECT_GE(std::chrono::steady_clock::now() - begun, StorageThread::kPatience);
    EXPECT_TRUE(loop_.run(queue_->next_due())->has_value());
}

TEST_P(QueueTest, ADeferralIsRecordedThoughTheStoreWasAtRest) {
    const auto first = lease(1);
    const auto rested = std::chrono::steady_clock::now() + std::chrono::milliseconds(2300);
    loop_.run_while([&] { return std::chrono::steady_clock::now() < rested; });
    loop_.spawn(defer(first));
    ASSERT_TRUE(loop_.run_all());
    EXPECT_EQ(deferred_, 1);
}

TEST_P(QueueTest, WhoAsksIsToldOfADeferralThatWaits) {
    loop_.spawn(defer(lease(1)));
    EXPECT_EQ(loop_.run(queue_->counts())->deferred, 1U);
}

TEST_P(QueueTest, DeferralsThatWaitAreRecordedAtTheEnd) {
    loop_.spawn(defer(lease(1)));
    loop_.run_while([polls = 0]() mutable { return ++polls < 3; });
    queue_.reset();
    ASSERT_TRUE(loop_.run_all());
    EXPECT_EQ(deferred_, 1);
    start();
    EXPECT_EQ(loop_.run_once(queue_->counts())->deferred, 1U);
}

TEST_P(QueueTest, AFailingCallLeavesItsCompanionsAlone) {
    const auto first = reserve(3);
    loop_.spawn(submit(first));
    loop_.spawn(submit(first));
    loop_.spawn(submit(first + 1));
    ASSERT_TRUE(loop_.run_all());
    EXPECT_EQ(accepted_, 2);
    EXPECT_EQ(refused_, 1);
}

TEST_P(QueueTest, ACallThatStopsHalfwayLeavesItsCompanionsAlone) {
    const auto first = reserve(3);
    loop_.spawn(submit(first));
    loop_.spawn(submit_torn(first));
    loop_.spawn(submit(first + 1));
    ASSERT_TRUE(loop_.run_all());
    EXPECT_EQ(accepted_, 2);
    EXPECT_EQ(refused_, 1);
    EXPECT_EQ(loop_.run(queue_->lease_due(10))->size(), 2U);
}

TEST_P(QueueTest, ABrokenTransactionIsTriedAgainOneByOne) {
    const auto first = reserve(10);
    vfs_.fail(testing::FaultVfs::Operation::Write, 1, SQLITE_FULL);
    for (std::uint64_t i = 0; i < 10; ++i) loop_.spawn(submit(first + i));
    ASSERT_TRUE(loop_.run_all());
    EXPECT_GE(accepted_, 9);
    EXPECT_EQ(loop_.run(queue_->counts())->incoming, static_cast<std::uint64_t>(accepted_));
}

// A read that joins the transaction which an append has left open falls with it.
TEST_P(QueueTest, EveryCallIsAnsweredThoughNothingCouldBeWritten) {
    const auto first = reserve(10);
    vfs_.fail(testing::FaultVfs::Operation::Write, 1, SQLITE_FULL, true);
    for (std::uint64_t i = 0; i < 5; ++i) {
        loop_.spawn(append(first + i));
        loop_.spawn(read(first + i));
    }
    loop_.run_while([polls = 0]() mutable { return ++polls < 20; });
    vfs_.heal();
    EXPECT_TRUE(loop_.run_all());
}

TEST_P(QueueTest, AnswersNobodyBeforeItKnows) {
    const auto first = reserve(10);
    vfs_.fail(testing::FaultVfs::Operation::Sync, 1, SQLITE_IOERR_FSYNC, true);
    loop_.spawn(submit(first));
    wait_until_broken();
    EXPECT_EQ(accepted_ + refused_, 0) << "answered while the outcome is unknown";
    EXPECT_FALSE(loop_.run_once(queue_->lease_due(10))) << "started a delivery meanwhile";

    vfs_.heal();
    ASSERT_TRUE(loop_.run_all());
    EXPECT_EQ(accepted_ + refused_, 1);
    EXPECT_EQ(loop_.run(queue_->counts())->incoming, static_cast<std::uint64_t>(accepted_));
}

TEST_P(QueueTest, WhatWasRefusedDoesNotComeBackWithTheNextProcess) {
    const auto first = reserve(10);
    vfs_.fail(testing::FaultVfs::Operation::Sync, 1, SQLITE_IOERR_FSYNC, true);
    for (std::uint64_t i = 0; i < 10; ++i) loop_.spawn(submit(first + i));
    wait_until_broken();
    queue_.reset();
    loop_.run_while([polls = 0]() mutable { return ++polls < 20; });
    EXPECT_EQ(accepted_, 0);

    vfs_.heal();
    start();
    const auto there = loop_.run_once(queue_->counts())->incoming;
    EXPECT_LE(there, 10U - static_cast<std::uint64_t>(refused_));
}

TEST_P(QueueTest, PiecesNeedNoSyncOfTheirOwn) {
    const auto number = reserve(1);
    const std::string piece(64 * 1024, 'x');
    const auto before = queue_->transaction_count();
    for (std::uint32_t i = 0; i < 20; ++i) {
        ASSERT_TRUE(loop_.run(queue_->append(number, i, piece)));
    }
    const auto without_promise = queue_->transaction_count() - before;
    auto message = testing::message(number, clock_.now(), {"b@example.com"}, "");
    message.content_length = 20 * piece.size() + 3;
    ASSERT_TRUE(loop_.run(queue_->commit(message, 20, "end")));

    EXPECT_LE(without_promise, 10U);
    EXPECT_EQ(*loop_.run(queue_->read_piece(number, 19)), piece);
    EXPECT_EQ(*loop_.run(queue_->read_piece(number, 20)), "end");
}

TEST_P(QueueTest, HoldsAllInBatches) {
    const std::uint64_t count = Spool::kBatch + 100;
    const auto first = reserve(static_cast<std::uint32_t>(count));
    for (std::uint64_t i = 0; i < count; ++i) loop_.spawn(submit(first + i));
    ASSERT_TRUE(loop_.run_all());
    EXPECT_EQ(*loop_.run(queue_->hold(std::nullopt)), count);
    EXPECT_EQ(loop_.run(queue_->counts())->hold, count);
}

TEST_P(QueueTest, FinishesWhatWaitsBeforeItEnds) {
    const auto first = reserve(50);
    for (std::uint64_t i = 0; i < 50; ++i) loop_.spawn(submit(first + i));
    // One turn, so that the coroutines have asked; then the end comes.
    loop_.run_while([polls = 0]() mutable { return ++polls < 60; });
    queue_.reset();
    ASSERT_TRUE(loop_.run_all());
    EXPECT_EQ(accepted_, 50);
}

}  // namespace
}  // namespace postrider::queue
