// What operators see and change.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "queue/testing/spool_test_world.h"

namespace postrider::queue {
namespace {

using ::testing::IsEmpty;
using testing::Kind;
using testing::SpoolTest;

TEST_F(SpoolTest, AHeldMessageWaitsForItsRelease) {
    const auto id = commit();
    EXPECT_EQ(operate(&Spool::hold, id), 1U);
    EXPECT_EQ(operate(&Spool::hold, id), 0U);
    EXPECT_THAT(lease(), IsEmpty());
    EXPECT_EQ(counts().hold, 1U);

    EXPECT_EQ(operate(&Spool::release, std::nullopt), 1U);

    EXPECT_EQ(lease().size(), 1U);
}

TEST_F(SpoolTest, AMessageHeldWhileItIsLeasedStaysHeldAfterTheAttempt) {
    const auto id = commit();
    const auto leases = lease();
    EXPECT_EQ(operate(&Spool::hold, id), 1U);
    EXPECT_EQ(counts().active, 0U);

    settle(finish(leases[0], Kind::Deferred));

    EXPECT_EQ(find(id)->place, ListedMessage::Place::Hold);
    clock_.advance(std::chrono::days{1});
    EXPECT_THAT(lease(), IsEmpty());
}

TEST_F(SpoolTest, RemovingALeasedMessageLetsItsAttemptEnd) {
    const auto id = commit();
    const auto leases = lease();
    EXPECT_EQ(operate(&Spool::remove, id), 1U);
    EXPECT_FALSE(find(id));
    EXPECT_EQ(counts().active, 0U);
    collect_all();
    EXPECT_NE(*spool_->read_piece(leases[0].number, 0), "");

    EXPECT_TRUE(settle(finish(leases[0], Kind::Deferred)).removed);

    collect_all();
    EXPECT_EQ(*spool_->read_piece(leases[0].number, 0), "");
    EXPECT_THAT(lease(), IsEmpty());
}

TEST_F(SpoolTest, FlushMakesDeferredMailDueAtOnce) {
    commit();
    commit();
    defer_all();
    EXPECT_EQ(operate(&Spool::flush, std::nullopt), 2U);
    EXPECT_EQ(lease().size(), 2U);
}

TEST_F(SpoolTest, ExpireMarksAndMakesDue) {
    const auto id = commit();
    defer_all();
    EXPECT_EQ(operate(&Spool::expire, id), 1U);
    const auto leases = lease();
    ASSERT_EQ(leases.size(), 1U);
    EXPECT_TRUE(leases[0].expire);
}

TEST_F(SpoolTest, AllIsTakenInBatches) {
    for (std::size_t i = 0; i < Spool::kBatch + 3; ++i) commit();
    Spool::Selection all;
    const auto first = transact([&] { return spool_->hold(all); });
    ASSERT_TRUE(first->last);
    EXPECT_EQ(first->count, Spool::kBatch);

    all.after = *first->last;
    const auto second = transact([&] { return spool_->hold(all); });

    EXPECT_EQ(second->count, 3U);
    EXPECT_FALSE(second->last);
    EXPECT_EQ(counts().hold, Spool::kBatch + 3);
}

TEST_F(SpoolTest, FindsOnlyTheExactId) {
    const auto id = commit();
    EXPECT_TRUE(find(id));
    auto other = id.str();
    other[0] = other[0] == 'F' ? 'E' : 'F';
    EXPECT_FALSE(find(*mail::QueueId::parse(other)));
    for (const char* text : {"x", "ABCDE", "ABCDEFFFFFFFFFFFFFFFF", "notanid", "4ZZZZZ0000z!"}) {
        if (const auto parsed = mail::QueueId::parse(text)) {
            EXPECT_FALSE(find(*parsed)) << text;
        }
    }
}

TEST_F(SpoolTest, FindsALongId) {
    NewMessage message = new_message({"b@example.com"}, "x\r\n");
    message.ticket = Ticket::make(message.ticket.number, clock_.now(), true);
    ASSERT_TRUE(transact([&] { return spool_->commit(message, 0, "x\r\n"); }));
    EXPECT_TRUE(find(message.ticket.id));
}

TEST_F(SpoolTest, ListsInPages) {
    const auto a = commit();
    const auto b = commit();
    const auto c = commit();
    const auto first = *spool_->list(0, 2);
    ASSERT_EQ(first.size(), 2U);
    EXPECT_EQ(first[0].id, a);
    EXPECT_EQ(first[1].id, b);
    const auto second = *spool_->list(first[1].number, 2);
    ASSERT_EQ(second.size(), 1U);
    EXPECT_EQ(second[0].id, c);
}

}  // namespace
}  // namespace postrider::queue
