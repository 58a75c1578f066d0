#include "delivery/queue_content.h"

#include <memory>

#include <gtest/gtest.h>

#include "queue/testing/loop.h"
#include "queue/testing/samples.h"

namespace postrider::delivery {
namespace {

class QueueContentTest : public testing::Test {
protected:
    /// A committed message of so many bytes.
    queue::Lease stored(std::size_t length) {
        const std::string content(length, 'x');
        const std::uint64_t number = *loop.run(queue.reserve(1));
        auto message = queue::testing::message(number, clock.now(), {"bob@corp.example"}, content);
        EXPECT_TRUE(loop.run(queue.commit(std::move(message), 0, content)));
        queue::Lease lease;
        lease.number = number;
        lease.content_length = length;
        return lease;
    }
    std::string first_piece(QueueContent& content) { return *loop.run(content.read_piece(0)); }

    ManualClock clock;
    queue::testing::Loop loop;
    CapturedLog captured;
    queue::Queue queue{queue::Spool::open_in_memory(clock), loop.executor(), clock,
                       Log(captured, "qmgr"), queue::Queue::Storage::Inline};
    std::shared_ptr<Larder> larder = std::make_shared<Larder>();

    void fetch_ahead(QueueContent& content) { loop.run(fetched(content)); }
    static boost::asio::awaitable<bool> fetched(QueueContent& content) {
        co_await content.fetch_ahead();
        co_return true;
    }
};

TEST_F(QueueContentTest, ASmallMessageIsReadBeforeItIsNeeded) {
    const queue::Lease lease = stored(1000);
    QueueContent content(queue, larder, lease);
    fetch_ahead(content);
    EXPECT_EQ(larder->kept, 1000u);

    const std::uint64_t transactions = queue.transaction_count();
    EXPECT_EQ(first_piece(content), std::string(1000, 'x'));
    EXPECT_EQ(queue.transaction_count(), transactions);
    EXPECT_EQ(larder->kept, 0u);
    // Another session may need it from the beginning.
    EXPECT_EQ(first_piece(content), std::string(1000, 'x'));
}

TEST_F(QueueContentTest, NothingIsReadAheadWhenTheLarderIsFull) {
    const queue::Lease lease = stored(1000);
    larder->kept = Larder::kMax - 999;
    QueueContent content(queue, larder, lease);
    fetch_ahead(content);
    EXPECT_EQ(larder->kept, Larder::kMax - 999);
    EXPECT_EQ(first_piece(content), std::string(1000, 'x'));
}

TEST_F(QueueContentTest, ALargeMessageIsNotReadAhead) {
    const queue::Lease lease = stored(40'000);
    QueueContent content(queue, larder, lease);
    fetch_ahead(content);
    EXPECT_EQ(larder->kept, 0u);
}

TEST_F(QueueContentTest, WhatWasNeverAskedForLeavesTheLarder) {
    const queue::Lease lease = stored(1000);
    {
        QueueContent content(queue, larder, lease);
        fetch_ahead(content);
        EXPECT_EQ(larder->kept, 1000u);
    }
    EXPECT_EQ(larder->kept, 0u);
}

}  // namespace
}  // namespace postrider::delivery
