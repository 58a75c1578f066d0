// How messages come into the spool, and what is kept of them.
#include <set>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "queue/testing/spool_test_world.h"

namespace postrider::queue {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using testing::Kind;
using testing::SpoolTest;

TEST_F(SpoolTest, KeepsEverythingOfAMessage) {
    NewMessage message = new_message({"b@example.com"}, "text\r\n");
    message.envelope.recipients[0].original = *mail::parse_address("alias@example.com");
    message.envelope.recipients[0].original_recipient = "rfc822;b@example.com";
    message.envelope.recipients[0].notify.never = true;
    message.envelope.envelope_id = "envid";
    message.envelope.dsn_return = mail::DsnReturn::Headers;
    message.envelope.body = mail::BodyType::EightBitMime;
    message.envelope.smtputf8 = true;
    message.header_length = 17;
    message.longest_line = 4;
    message.has_8bit = true;
    message.content_filter = "smtp:[127.0.0.1]:10025";
    ASSERT_TRUE(transact([&] { return spool_->commit(message, 0, "text\r\n"); }));

    const auto leases = lease();

    ASSERT_EQ(leases.size(), 1U);
    const Lease& lease = leases[0];
    EXPECT_EQ(lease.id, message.ticket.id);
    EXPECT_EQ(lease.envelope.reverse_path, message.envelope.reverse_path);
    EXPECT_EQ(lease.envelope.envelope_id, "envid");
    EXPECT_EQ(lease.envelope.dsn_return, mail::DsnReturn::Headers);
    EXPECT_EQ(lease.envelope.body, mail::BodyType::EightBitMime);
    EXPECT_TRUE(lease.envelope.smtputf8);
    EXPECT_EQ(lease.arrival, message.arrival);
    EXPECT_EQ(lease.submitter_uid, 1000);
    EXPECT_EQ(lease.client, "local");
    EXPECT_EQ(lease.size, 6U);
    EXPECT_EQ(lease.content_length, 6U);
    EXPECT_EQ(lease.checksum, message.checksum);
    EXPECT_EQ(lease.header_length, 17U);
    EXPECT_EQ(lease.longest_line, 4U);
    EXPECT_TRUE(lease.has_8bit);
    EXPECT_EQ(lease.content_filter, "smtp:[127.0.0.1]:10025");
    ASSERT_EQ(lease.recipients.size(), 1U);
    const mail::Recipient& recipient = lease.recipients[0].recipient;
    EXPECT_EQ(mail::internal(recipient.address), "b@example.com");
    EXPECT_EQ(mail::internal(recipient.original), "alias@example.com");
    EXPECT_EQ(recipient.original_recipient, "rfc822;b@example.com");
    EXPECT_TRUE(recipient.notify.never);
}

TEST_F(SpoolTest, ANumberIsNeverGivenTwice) {
    const auto first = transact([&] { return spool_->reserve(10); });
    const auto second = transact([&] { return spool_->reserve(1); });
    EXPECT_EQ(*first, 0x10000U);
    EXPECT_EQ(*second, 0x1000aU);
}

// Q11: what makes an id different is the number; the time only makes it telling.
TEST_F(SpoolTest, IdsDifferWhileTheClockStandsStill) {
    std::set<std::string> ids;
    const auto first = transact([&] { return spool_->reserve(5000); });
    for (std::uint64_t i = 0; i < 5000; ++i) {
        ids.insert(Ticket::make(*first + i, clock_.now(), false).id.str());
        ids.insert(Ticket::make(*first + i, clock_.now(), true).id.str());
    }
    EXPECT_EQ(ids.size(), 10'000U);
}

TEST_F(SpoolTest, PutsPiecesTogether) {
    const std::string first(Spool::kBatch, 'x');
    const std::string whole = first + "end\r\n";
    const NewMessage message = new_message({"b@example.com"}, whole);
    const std::uint64_t number = message.ticket.number;
    ASSERT_TRUE(transact([&] { return spool_->append(number, 0, first); }));
    EXPECT_THAT(lease(), IsEmpty());

    ASSERT_TRUE(transact([&] { return spool_->commit(message, 1, "end\r\n"); }));

    EXPECT_EQ(lease().size(), 1U);
    EXPECT_EQ(*spool_->read_piece(number, 0), first);
    EXPECT_EQ(*spool_->read_piece(number, 1), "end\r\n");
    EXPECT_EQ(*spool_->read_piece(number, 2), "");
}

TEST_F(SpoolTest, RefusesAMessageWithAMissingPiece) {
    const NewMessage message = new_message({"b@example.com"}, "onetwothree");
    const std::uint64_t number = message.ticket.number;
    ASSERT_TRUE(transact([&] { return spool_->append(number, 0, "one"); }));

    const auto skipped = transact([&] { return spool_->append(number, 2, "three"); });
    const auto short_by_one = transact([&] { return spool_->commit(message, 2, "three"); });
    const auto wrong_length = transact([&] { return spool_->commit(message, 1, "three"); });

    EXPECT_EQ(skipped.error().code, ErrorCode::Invalid);
    EXPECT_EQ(short_by_one.error().code, ErrorCode::Invalid);
    EXPECT_EQ(wrong_length.error().code, ErrorCode::Invalid);
    EXPECT_THAT(lease(), IsEmpty());
}

class MaildropTest : public testing::SpoolOnDisk {
protected:
    /// In two pieces.
    NewMessage large(const std::string& drop) {
        NewMessage made = new_message({"b@example.com"}, "onetwo\r\n");
        made.drop = drop;
        EXPECT_TRUE(transact([&] { return spool_->append(made.ticket.number, 0, "one"); }));
        return made;
    }
    bool take(const std::string& drop) {
        NewMessage made = new_message({"b@example.com"}, "x\r\n");
        made.drop = drop;
        return transact([&] { return spool_->commit(made, 0, "x\r\n"); }).has_value();
    }
    std::uint64_t waiting() { return counts().incoming + counts().active; }
};

TEST_F(MaildropTest, AFileIsOneMessageHoweverOftenItComes) {
    ASSERT_TRUE(take("a:1"));
    ASSERT_TRUE(take("a:2"));
    EXPECT_EQ(waiting(), 2U);

    ASSERT_TRUE(take("a:1"));
    const NewMessage again = large("a:2");
    ASSERT_TRUE(transact([&] { return spool_->commit(again, 1, "two\r\n"); }));

    EXPECT_EQ(waiting(), 2U);
    collect_all();
    EXPECT_EQ(*spool_->read_piece(again.ticket.number, 0), "") << "nothing of it is kept";
    EXPECT_FALSE(find(again.ticket.id));
}

TEST_F(MaildropTest, AFileIsRememberedWhenItsMessageIsGoneAndByTheNextProcess) {
    ASSERT_TRUE(take("a:1"));
    settle(finish(lease()[0], Kind::Sent));
    reopen();
    ASSERT_TRUE(take("a:1"));
    EXPECT_EQ(waiting(), 0U);
}

// Else it would be neither in the queue nor in maildrop.
TEST_F(MaildropTest, AFileThatWasRefusedIsTakenWhenItComesAgain) {
    NewMessage wrong = new_message({"b@example.com"}, "x\r\n");
    wrong.drop = "a:1";
    wrong.content_length += 1;
    EXPECT_FALSE(transact([&] { return spool_->commit(wrong, 0, "x\r\n"); }));
    ASSERT_TRUE(take("a:1"));
    EXPECT_EQ(waiting(), 1U);
}

TEST_F(MaildropTest, RemembersNoMoreFilesThanMayLieThere) {
    ASSERT_TRUE(take("first"));
    const auto first = transact([&] { return spool_->reserve(Spool::kTakenMax); });
    ASSERT_TRUE(spool_->begin());
    for (std::uint64_t i = 0; i < Spool::kTakenMax; ++i) {
        NewMessage next = testing::message(*first + i, clock_.now(), {"b@example.com"}, "x\r\n");
        next.drop = "next" + std::to_string(i);
        ASSERT_TRUE(spool_->commit(next, 0, "x\r\n"));
    }
    ASSERT_TRUE(spool_->commit_transaction());
    const std::uint64_t before = waiting();

    ASSERT_TRUE(take("next0"));
    EXPECT_EQ(waiting(), before) << "one of the last";
    ASSERT_TRUE(take("first"));
    EXPECT_EQ(waiting(), before + 1) << "forgotten long after its file went";
}

TEST_F(SpoolTest, ACallThatFailsLeavesTheOthersOfItsTransactionWhole) {
    const NewMessage good = new_message({"b@example.com"}, "x\r\n");
    ASSERT_TRUE(spool_->begin());
    ASSERT_TRUE(spool_->commit(good, 0, "x\r\n"));
    EXPECT_FALSE(spool_->commit(good, 0, "x\r\n"));
    NewMessage lying = good;
    lying.ticket.number = good.ticket.number + 1000;
    lying.checksum ^= 1;
    EXPECT_FALSE(spool_->commit(lying, 0, "x\r\n"));
    ASSERT_TRUE(spool_->commit_transaction());

    EXPECT_THAT(leased_ids(), ElementsAre(good.ticket.id.str()));
    EXPECT_EQ(counts().active, 1U);
}

TEST_F(SpoolTest, ACallThatStopsHalfwayTakesItsTransactionWithIt) {
    const NewMessage good = new_message({"b@example.com"}, "x\r\n");
    NewMessage torn = good;
    torn.drop = "a:1";
    ASSERT_TRUE(spool_->begin());
    ASSERT_TRUE(spool_->commit(good, 0, "x\r\n"));
    EXPECT_FALSE(spool_->commit(torn, 0, "x\r\n")) << "once its file is noted, it is there";
    EXPECT_FALSE(spool_->reserve(1));
    EXPECT_FALSE(spool_->commit_transaction());
    EXPECT_EQ(counts().active, 0U);

    EXPECT_TRUE(transact([&] { return spool_->commit(good, 0, "x\r\n"); }));
    EXPECT_THAT(leased_ids(), ElementsAre(good.ticket.id.str()));
}

}  // namespace
}  // namespace postrider::queue
