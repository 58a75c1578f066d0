// Leases and settlements.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "queue/testing/spool_test_world.h"

namespace postrider::queue {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using testing::Kind;
using testing::SpoolTest;
using ::testing::UnorderedElementsAre;

TEST_F(SpoolTest, LeasesAMessageOnlyOnce) {
    commit();
    EXPECT_EQ(lease().size(), 1U);
    EXPECT_THAT(lease(), IsEmpty());
    EXPECT_FALSE(spool_->next_due()->has_value());
}

TEST_F(SpoolTest, LeasesNewAndRetriedMailInTurnOldestFirst) {
    const auto old_1 = commit();
    const auto old_2 = commit();
    defer_all();
    clock_.advance(std::chrono::minutes{6});
    const auto new_1 = commit();
    const auto new_2 = commit();
    const auto new_3 = commit();

    EXPECT_THAT(leased_ids(3), ElementsAre(new_1.str(), old_1.str(), new_2.str()));
    EXPECT_THAT(leased_ids(), ElementsAre(new_3.str(), old_2.str()));
}

TEST_F(SpoolTest, MailPutOnHoldWaitsForAnOperator) {
    const auto id = commit();
    Settlement settlement = finish(lease()[0], Kind::Deferred);
    settlement.hold = true;
    settle(settlement);
    clock_.advance(std::chrono::hours{24});

    EXPECT_EQ(lease().size(), 0U);
    EXPECT_EQ(counts().hold, 1U);
    EXPECT_EQ(operate(&Spool::release, id), 1U);
    EXPECT_EQ(lease().size(), 1U);
}

// L11.
TEST_F(SpoolTest, LeasesNewMailOfDifferentUsersInTurn) {
    std::vector<std::string> many;
    for (int i = 0; i < 100; ++i) many.push_back(commit().str());
    EXPECT_THAT(leased_ids(2), ElementsAre(many[0], many[1]));
    submitter_ = 1001;
    const auto another = commit();
    const auto and_one = commit();

    EXPECT_THAT(leased_ids(4),
                UnorderedElementsAre(many[2], another.str(), many[3], and_one.str()));
    EXPECT_THAT(leased_ids(1), ElementsAre(many[4]));
}

TEST_F(SpoolTest, ADeferredMessageWaitsUntilItsTime) {
    commit();
    defer_all();
    const WallTime due = **spool_->next_due();
    EXPECT_EQ(counts().deferred, 1U);
    EXPECT_THAT(lease(), IsEmpty());

    clock_.set_wall(due);

    const auto leases = lease();
    ASSERT_EQ(leases.size(), 1U);
    EXPECT_EQ(leases[0].attempts, 1U);
    EXPECT_EQ(leases[0].recipients[0].last.text, "250 ok");
}

TEST_F(SpoolTest, AClockThatWentBackPutsNothingOffForYears) {
    commit();
    const WallTime right = clock_.now();
    clock_.set_wall(right + std::chrono::years{10});
    defer_all();
    clock_.set_wall(right);

    EXPECT_LE(**spool_->next_due(), right + std::chrono::seconds{4000});
    EXPECT_EQ(lease().size(), 1U);
}

TEST_F(SpoolTest, NewMailIsDueEvenIfTheClockWentBack) {
    commit();
    clock_.set_wall(clock_.now() - std::chrono::days{365});
    EXPECT_EQ(**spool_->next_due(), clock_.now());
    EXPECT_EQ(lease().size(), 1U);
}

TEST_F(SpoolTest, SettlingTheLastRecipientRemovesTheMessage) {
    const auto id = commit({"b@example.com", "c@example.com"});
    const auto leases = lease();
    Settlement first;
    first.number = leases[0].number;
    first.outcomes.push_back(testing::outcome(0, Kind::Sent));
    Settlement second = first;
    second.outcomes[0].ordinal = 1;
    second.finished = true;

    EXPECT_EQ(settle(first).recipients_left, 1U);
    EXPECT_EQ(find(id)->recipients.size(), 1U);
    EXPECT_TRUE(settle(second).removed);

    EXPECT_FALSE(find(id));
    EXPECT_EQ(counts().active, 0U);
    collect_all();
    EXPECT_EQ(*spool_->read_piece(leases[0].number, 0), "");
}

TEST_F(SpoolTest, ADeliveredRecipientIsNotTriedAgain) {
    commit({"b@example.com", "c@example.com"});
    auto settlement = finish(lease()[0], Kind::Deferred);
    settlement.outcomes[0] = testing::outcome(0, Kind::Sent);
    settle(settlement);
    clock_.advance(std::chrono::minutes{6});

    const auto again = lease();

    ASSERT_EQ(again.size(), 1U);
    ASSERT_EQ(again[0].recipients.size(), 1U);
    EXPECT_EQ(mail::internal(again[0].recipients[0].recipient.address), "c@example.com");
}

TEST_F(SpoolTest, TheReportAndTheEndOfTheRecipientAreOneTransaction) {
    commit();
    const auto leases = lease();
    Settlement settlement = finish(leases[0], Kind::Bounced);
    settlement.reported = {0};
    OwnMessage report;
    report.content = "report\r\n";
    report.message = new_message({"a@example.org"}, report.content);
    report.message.origin = Origin::Report;
    settlement.reports.push_back(report);

    EXPECT_TRUE(settle(settlement).removed);

    const auto next = lease();
    ASSERT_EQ(next.size(), 1U);
    EXPECT_EQ(next[0].id, report.message.ticket.id);
    EXPECT_EQ(next[0].origin, Origin::Report);
}

TEST_F(SpoolTest, AFailedRecipientStaysUntilItIsReported) {
    commit();
    settle(finish(lease()[0], Kind::Bounced));
    clock_.advance(std::chrono::minutes{6});

    const auto again = lease();

    ASSERT_EQ(again.size(), 1U);
    EXPECT_EQ(again[0].recipients[0].state, RecipientState::Failed);
}

TEST_F(SpoolTest, OnlyAFailedRecipientCanBeReportedAway) {
    commit();
    Settlement settlement = finish(lease()[0], Kind::Deferred);
    settlement.reported = {0};
    settlement.dead = {0};
    EXPECT_EQ(settle(settlement).recipients_left, 1U);
    EXPECT_EQ(counts().deferred, 1U);
}

/// Q5: messages that failed and wait for the summary for their sender.
class SpoolSummaries : public testing::SpoolOnDisk {
protected:
    void fail(std::size_t count) {
        for (std::size_t i = 0; i < count; ++i) commit({"b@example.com", "c@example.com"});
        for (const Lease& each : lease()) {
            Settlement settlement = finish(each, Kind::Bounced);
            settlement.waits_for = kAnn.key();
            settle(settlement);
        }
    }

    /// Of all that waits.
    Summary summary() {
        Summary summary;
        summary.waits_for = kAnn.key();
        const auto number = transact([&] { return spool_->reserve(1); });
        summary.report.content = "Subject: summary\r\n\r\n";
        summary.report.message =
            testing::message(*number, clock_.now(), {"a@example.org"}, summary.report.content);
        summary.report.message.origin = Origin::Report;
        summary.report.message.envelope.reverse_path = {};
        const auto waiting = spool_->waiting(kAnn, 0, 100);
        for (const ListedMessage& each : *waiting) summary.told.push_back({each.number, {0, 1}});
        return summary;
    }

    Result<void> record(const Summary& summary) {
        return transact([&] { return spool_->summarise(summary); });
    }

    const Account kAnn = summary_for("a@example.org");
};

TEST_F(SpoolSummaries, TakeThePlaceOfAllTheyTellOf) {
    fail(3);
    clock_.advance(std::chrono::days{30});
    EXPECT_THAT(lease(), IsEmpty()) << "they wait, however late it is";
    reopen();
    EXPECT_EQ(spool_->waiting_counts()->at(kAnn.key()), 3U);

    ASSERT_TRUE(record(summary()));

    reopen();
    EXPECT_EQ(spool_->waiting_counts()->count(kAnn.key()), 0U);
    EXPECT_EQ(counts().deferred, 0U);
    const auto left = lease();
    ASSERT_EQ(left.size(), 1U);
    EXPECT_EQ(left[0].origin, Origin::Report);
    collect_all();
    EXPECT_TRUE(spool_->check());
}

TEST_F(SpoolSummaries, AreRefusedWholeWhenOneMessageWaitsNoLonger) {
    using Verb = Result<Spool::Changed> (Spool::*)(const Spool::Selection&);
    for (const Verb verb : {&Spool::hold, &Spool::remove, &Spool::flush, &Spool::expire}) {
        fail(2);
        const Summary late = summary();
        const auto id = spool_->waiting(kAnn, late.told[0].number, 1)->front().id;
        EXPECT_EQ(operate(verb, id), 1U);

        const auto recorded = record(late);

        ASSERT_FALSE(recorded);
        EXPECT_EQ(recorded.error().code, ErrorCode::Invalid);
        EXPECT_EQ(spool_->waiting_counts()->at(kAnn.key()), 1U) << "the other one waits on";
        EXPECT_EQ(counts().incoming, 0U) << "and there is no report";
        operate(&Spool::remove, std::nullopt);
    }
}

TEST_F(SpoolSummaries, AreNotMadeOfAMessageThatIsBeingAttempted) {
    fail(1);
    const Summary late = summary();
    operate(&Spool::flush, spool_->waiting(kAnn, 0, 1)->front().id);
    ASSERT_EQ(lease().size(), 1U);

    EXPECT_FALSE(record(late));
    EXPECT_EQ(counts().active, 1U);
}

TEST_F(SpoolTest, WhatNobodyCanBeToldAboutIsKeptAsDead) {
    const auto id = commit();
    Settlement settlement = finish(lease()[0], Kind::Bounced);
    settlement.dead = {0};
    settle(settlement);

    EXPECT_EQ(counts().dead, 1U);
    EXPECT_EQ(find(id)->place, ListedMessage::Place::Dead);
    clock_.advance(std::chrono::days{30});
    EXPECT_THAT(lease(), IsEmpty());
    EXPECT_EQ(operate(&Spool::remove, id), 1U);
    EXPECT_EQ(counts().dead, 0U);
}

TEST_F(SpoolTest, TakesTenThousandRecipients) {
    std::vector<std::string> to;
    for (int i = 0; i < 10000; ++i) to.push_back("user" + std::to_string(i) + "@example.com");
    commit(to);
    const auto leases = lease();
    ASSERT_EQ(leases[0].recipients.size(), 10000U);
    EXPECT_TRUE(settle(finish(leases[0], Kind::Sent)).removed);
}

TEST_F(SpoolTest, SettlingTwiceDoesNoHarm) {
    commit({"b@example.com", "c@example.com"});
    Settlement settlement;
    settlement.number = lease()[0].number;
    settlement.outcomes.push_back(testing::outcome(0, Kind::Sent));
    settle(settlement);
    EXPECT_EQ(settle(settlement).recipients_left, 1U);
}

TEST_F(SpoolTest, RefusesToSettleWhatIsNotLeased) {
    const auto id = commit();
    Settlement settlement;
    settlement.number = find(id)->number;
    ASSERT_TRUE(spool_->begin());
    EXPECT_EQ(spool_->settle(settlement).error().code, ErrorCode::Invalid);
    ASSERT_TRUE(spool_->commit_transaction());
}

}  // namespace
}  // namespace postrider::queue
