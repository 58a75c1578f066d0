#include "queue/spool.h"

#include <filesystem>
#include <fstream>

#include <sys/stat.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "queue/testing/samples.h"

namespace postrider::queue {
namespace {

using Kind = mail::Disposition::Kind;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

/// A spool, and words for what happens to it.
class SpoolTest : public ::testing::Test {
protected:
    SpoolTest() { start(); }

    virtual void start() { spool_ = Spool::open_in_memory(clock_); }

    template <typename Body>
    auto transact(Body body) {
        EXPECT_TRUE(spool_->begin());
        auto result = body();
        const auto committed = spool_->commit_transaction();
        EXPECT_TRUE(committed) << committed.error().message;
        return result;
    }

    NewMessage new_message(const std::vector<std::string>& to, std::string_view content) {
        const auto number = transact([&] { return spool_->reserve(1); });
        return testing::message(*number, clock_.now(), to, content);
    }

    mail::QueueId commit(const std::vector<std::string>& to = {"b@example.com"},
                         const std::string& content = "Subject: x\r\n\r\nhello\r\n") {
        const NewMessage message = new_message(to, content);
        const auto done = transact([&] { return spool_->commit(message, 0, content); });
        EXPECT_TRUE(done) << done.error().message;
        clock_.advance(std::chrono::milliseconds{1});
        return message.ticket.id;
    }

    std::vector<Lease> lease(std::size_t limit = 100) {
        auto leases = transact([&] { return spool_->lease_due(limit); });
        EXPECT_TRUE(leases);
        return std::move(*leases);
    }

    std::vector<std::string> leased_ids(std::size_t limit = 100) {
        std::vector<std::string> ids;
        for (const Lease& each : lease(limit)) ids.push_back(each.id.str());
        return ids;
    }

    Settled settle(const Settlement& settlement) {
        const auto settled = transact([&] { return spool_->settle(settlement); });
        EXPECT_TRUE(settled) << settled.error().message;
        return *settled;
    }

    Settlement finish(const Lease& lease, Kind kind) {
        Settlement settlement;
        settlement.number = lease.number;
        for (const auto& each : lease.recipients) {
            settlement.outcomes.push_back(testing::outcome(each.ordinal, kind));
        }
        settlement.finished = true;
        settlement.next_attempt = clock_.now() + std::chrono::minutes{5};
        return settlement;
    }

    void defer_all() {
        for (const Lease& each : lease()) settle(finish(each, Kind::Deferred));
    }

    std::uint64_t operate(Result<Spool::Changed> (Spool::*verb)(const Spool::Selection&),
                          std::optional<mail::QueueId> id) {
        Spool::Selection selection;
        selection.id = std::move(id);
        const auto changed = transact([&] { return ((*spool_).*verb)(selection); });
        EXPECT_TRUE(changed);
        return changed->count;
    }

    QueueCounts counts() {
        return *transact([&] { return spool_->counts(); });
    }
    std::optional<ListedMessage> find(const mail::QueueId& id) { return *spool_->find(id); }

    void collect_all() {
        while (*transact([&] { return spool_->collect_garbage(); })) {
        }
    }

    ManualClock clock_;
    std::unique_ptr<Spool> spool_;
};

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

/// The same on a disk.
class SpoolOnDisk : public SpoolTest {
protected:
    SpoolOnDisk() { reopen(); }
    void start() override {}

    Result<std::unique_ptr<Spool>> try_open() {
        Spool::Options options;
        options.directory = folder_.path();
        options.free_space_floor = floor_;
        return Spool::open(options, clock_, Log(lines_, "qmgr"));
    }
    void reopen() {
        spool_.reset();
        auto opened = try_open();
        ASSERT_TRUE(opened) << opened.error().message;
        spool_ = std::move(*opened);
    }
    std::string refusal() {
        spool_.reset();
        const auto opened = try_open();
        return opened ? "opened" : opened.error().message;
    }
    std::filesystem::path file(const char* name) const { return folder_.path() / name; }

    testing::TemporaryFolder folder_;
    CapturedLog lines_;
    std::uint64_t floor_ = 0;
};

TEST_F(SpoolOnDisk, FindsItsMailAgain) {
    const auto id = commit();
    const auto held = commit();
    operate(&Spool::hold, held);

    reopen();

    EXPECT_EQ(counts().incoming, 1U);
    EXPECT_EQ(counts().hold, 1U);
    EXPECT_THAT(leased_ids(), ElementsAre(id.str()));
    EXPECT_TRUE(spool_->check());
}

TEST_F(SpoolOnDisk, ALeaseEndsWithItsProcess) {
    commit();
    lease();
    reopen();
    EXPECT_EQ(lease().size(), 1U);
}

TEST_F(SpoolOnDisk, NumbersGrowAcrossARestart) {
    const auto before = transact([&] { return spool_->reserve(64); });
    reopen();
    EXPECT_EQ(*transact([&] { return spool_->reserve(1); }), *before + 64);
}

TEST_F(SpoolOnDisk, DropsWhatWasBeingReceived) {
    const auto number = transact([&] { return spool_->reserve(1); });
    ASSERT_TRUE(transact([&] { return spool_->append(*number, 0, "half a message"); }));

    reopen();
    collect_all();

    EXPECT_EQ(*spool_->read_piece(*number, 0), "");
}

TEST_F(SpoolOnDisk, IsOwnedByOneProcess) {
    const auto second = try_open();
    ASSERT_FALSE(second);
    EXPECT_THAT(second.error().message, HasSubstr("another process owns this queue"));
}

TEST_F(SpoolOnDisk, NobodyElseCanReadIt) {
    for (const char* name : {"queue.db", "queue.db-wal", "queue.db-shm", "queue.lock"}) {
        struct stat status {};
        ASSERT_EQ(::stat(file(name).c_str(), &status), 0) << name;
        EXPECT_EQ(status.st_mode & 0777U, 0600U) << name;
    }
}

TEST_F(SpoolOnDisk, RefusesAFileThatOthersCanRead) {
    spool_.reset();
    ::chmod(file("queue.db").c_str(), 0640);
    EXPECT_THAT(refusal(), HasSubstr("others have access"));
}

TEST_F(SpoolOnDisk, RefusesAFolderThatOthersCanWrite) {
    spool_.reset();
    ::chmod(folder_.path().c_str(), 0777);
    EXPECT_THAT(refusal(), HasSubstr("others may write"));
}

TEST_F(SpoolOnDisk, RefusesSomethingElse) {
    spool_.reset();
    std::filesystem::remove(file("queue.db-wal"));
    std::ofstream(file("queue.db")) << std::string(8192, 'x');
    EXPECT_THAT(refusal(), HasSubstr("not a database"));
}

TEST_F(SpoolOnDisk, KeepsAReserveForAFullDisk) {
    EXPECT_GE(std::filesystem::file_size(file("queue.db-wal")), 4U * 1024 * 1024);
    reopen();
    EXPECT_GE(std::filesystem::file_size(file("queue.db-wal")), 4U * 1024 * 1024);
}

TEST_F(SpoolOnDisk, RefusesNewMailBelowTheFloorButRecordsOutcomes) {
    commit();
    floor_ = std::numeric_limits<std::uint64_t>::max();
    reopen();

    const NewMessage message = new_message({"b@example.com"}, "x\r\n");
    const auto committed = transact([&] { return spool_->commit(message, 0, "x\r\n"); });
    const auto appended =
        transact([&] { return spool_->append(message.ticket.number, 0, "x\r\n"); });

    EXPECT_EQ(committed.error().code, ErrorCode::DiskFull);
    EXPECT_EQ(appended.error().code, ErrorCode::DiskFull);
    EXPECT_TRUE(settle(finish(lease()[0], Kind::Sent)).removed);
}

}  // namespace
}  // namespace postrider::queue
