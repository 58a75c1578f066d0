// Accounts in trouble outlive the process, and their mail waits without being looked at.
#include <map>
#include <random>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sqlite3.h>

#include "queue/spool.h"
#include "queue/testing/fault_vfs.h"
#include "queue/testing/samples.h"

namespace postrider::queue {
namespace {

using Kind = mail::Disposition::Kind;
using Operation = testing::FaultVfs::Operation;
using ::testing::IsEmpty;
using ::testing::SizeIs;

const Account kAnn{"[smtp.example.net]:465", "ann@example.net"};
const Account kHost{"[smtp.example.net]:465", ""};

AccountTrouble refused(WallTime now) {
    AccountTrouble trouble;
    trouble.account = kAnn;
    trouble.trouble = Trouble::LoginRefused;
    trouble.since = now;
    trouble.next_attempt = now + std::chrono::minutes{5};
    trouble.interval = std::chrono::minutes{5};
    trouble.status = mail::EnhancedStatus(4, 7, 8);
    trouble.reason = "535 5.7.8 no";
    trouble.advice = "make an app password";
    trouble.password_mark = 4711;
    trouble.alerted = true;
    return trouble;
}

class SpoolAccounts : public ::testing::Test {
protected:
    SpoolAccounts() { start(); }

    void start() {
        spool_.reset();
        Spool::Options options;
        options.directory = folder_.path();
        options.free_space_floor = 0;
        options.vfs = vfs_name_;
        auto opened = Spool::open(options, clock_, Log(lines_, "qmgr"));
        ASSERT_TRUE(opened) << opened.error().message;
        spool_ = std::move(*opened);
    }

    template <typename Body>
    auto transact(Body body) {
        EXPECT_TRUE(spool_->begin());
        auto result = body();
        EXPECT_TRUE(result) << result.error().message;
        EXPECT_TRUE(spool_->commit_transaction());
        return result;
    }

    template <typename Body>
    void act(Body body) {
        (void)transact(body);
    }

    mail::QueueId submit() {
        const auto number = transact([&] { return spool_->reserve(1); });
        const auto message = testing::message(*number, clock_.now(), {"b@example.com"}, "x\r\n");
        act([&] { return spool_->commit(message, 0, "x\r\n"); });
        clock_.advance(std::chrono::seconds{1});
        return message.ticket.id;
    }

    std::vector<Lease> lease() {
        return *transact([&] { return spool_->lease_due(100); });
    }

    void park(const Account& account, WallTime until) {
        for (const Lease& each : lease()) {
            Settlement settlement;
            settlement.number = each.number;
            settlement.outcomes.push_back(testing::outcome(0, Kind::Deferred));
            settlement.finished = true;
            settlement.next_attempt = until;
            settlement.waits_for = account.key();
            act([&] { return spool_->settle(settlement); });
        }
    }

    std::uint64_t wake(const Account& account, std::optional<WallTime> reached, std::size_t limit) {
        return *transact([&] { return spool_->wake(account, reached, limit); });
    }

    testing::TemporaryFolder folder_;
    ManualClock clock_;
    CapturedLog lines_;
    testing::FaultVfs vfs_;
    std::string vfs_name_;
    std::unique_ptr<Spool> spool_;
};

TEST_F(SpoolAccounts, AreRememberedByTheNextProcess) {
    const AccountTrouble before = refused(clock_.now());
    act([&] { return spool_->save(before); });

    start();

    const auto after = spool_->troubles();
    ASSERT_TRUE(after);
    ASSERT_THAT(*after, SizeIs(1));
    const AccountTrouble& known = after->front();
    EXPECT_EQ(known.account.next_hops, kAnn.next_hops);
    EXPECT_EQ(known.account.login, kAnn.login);
    EXPECT_EQ(known.trouble, Trouble::LoginRefused);
    EXPECT_EQ(known.since, before.since);
    EXPECT_EQ(known.next_attempt, before.next_attempt);
    EXPECT_EQ(known.interval, before.interval);
    EXPECT_EQ(mail::to_string(known.status), "4.7.8");
    EXPECT_EQ(known.reason, before.reason);
    EXPECT_EQ(known.advice, before.advice);
    EXPECT_EQ(known.password_mark, 4711);
    EXPECT_TRUE(known.alerted);
}

TEST_F(SpoolAccounts, AreForgottenWhenRepaired) {
    act([&] { return spool_->save(refused(clock_.now())); });
    act([&] { return spool_->forget(kHost); });
    EXPECT_THAT(*spool_->troubles(), SizeIs(1));
    act([&] { return spool_->forget(kAnn); });
    EXPECT_THAT(*spool_->troubles(), IsEmpty());
}

TEST_F(SpoolAccounts, WaitingMailIsNeverDueHoweverLateItIs) {
    submit();
    park(kAnn, clock_.now());
    clock_.advance(std::chrono::hours{24 * 365});

    EXPECT_THAT(lease(), IsEmpty());
    EXPECT_FALSE(*spool_->next_due());
    EXPECT_EQ(spool_->counts()->deferred, 1U);
    start();
    EXPECT_THAT(lease(), IsEmpty());
    EXPECT_EQ(spool_->counts()->deferred, 1U) << "known at the start";
}

TEST_F(SpoolAccounts, WakesTheOldestFirstAndOnlyItsOwn) {
    const mail::QueueId first = submit();
    park(kAnn, WallTime::max());
    submit();
    park(kAnn, WallTime::max());
    submit();
    park(kHost, WallTime::max());

    EXPECT_EQ(wake(kAnn, std::nullopt, 1), 1U);
    const auto woken = lease();
    ASSERT_THAT(woken, SizeIs(1));
    EXPECT_EQ(woken[0].id, first);
    EXPECT_EQ(wake(kAnn, std::nullopt, 100), 1U);
    EXPECT_EQ(wake(kAnn, std::nullopt, 100), 0U);
    EXPECT_EQ(spool_->waiting_counts()->at(kHost.key()), 1U);
    EXPECT_FALSE(spool_->waiting_counts()->contains(kAnn.key()));
}

TEST_F(SpoolAccounts, WakesThoseWhoseTimeHasComeAlone) {
    submit();
    park(kHost, clock_.now() + std::chrono::hours{1});
    submit();
    park(kHost, clock_.now() + std::chrono::hours{2});
    clock_.advance(std::chrono::minutes{61});
    EXPECT_EQ(wake(kHost, clock_.now(), 100), 1U);
}

TEST_F(SpoolAccounts, AnOperatorReachesWaitingMailByName) {
    const mail::QueueId id = submit();
    park(kAnn, WallTime::max());
    Spool::Selection all;
    EXPECT_EQ(transact([&] { return spool_->flush(all); })->count, 0U)
        << "flushing everything tries the account, not each message";
    EXPECT_THAT(lease(), IsEmpty());
    Spool::Selection one;
    one.id = id;
    EXPECT_EQ(transact([&] { return spool_->flush(one); })->count, 1U);
    EXPECT_THAT(lease(), SizeIs(1));
}

TEST_F(SpoolAccounts, HoldingEndsTheWaiting) {
    submit();
    park(kAnn, WallTime::max());
    const Spool::Selection all;
    act([&] { return spool_->hold(all); });
    EXPECT_THAT(*spool_->waiting_counts(), IsEmpty());
    act([&] { return spool_->release(all); });
    EXPECT_THAT(lease(), SizeIs(1));
}

// Q9: an operator holds a message while it is being attempted, and the attempt meets trouble.
TEST_F(SpoolAccounts, MailHeldDuringItsAttemptIsHeldAndWaitsForNobody) {
    submit();
    const auto leases = lease();
    const Spool::Selection all;
    act([&] { return spool_->hold(all); });
    Settlement settlement;
    settlement.number = leases[0].number;
    settlement.outcomes.push_back(testing::outcome(0, Kind::Deferred));
    settlement.finished = true;
    settlement.waits_for = kAnn.key();
    act([&] { return spool_->settle(settlement); });
    EXPECT_EQ(spool_->counts()->hold, 1U);
    EXPECT_THAT(*spool_->waiting_counts(), IsEmpty());
}

TEST_F(SpoolAccounts, ListsWhoWaits) {
    const mail::QueueId id = submit();
    park(kAnn, WallTime::max());
    const auto waiting = spool_->waiting(kAnn, 0, 10);
    ASSERT_TRUE(waiting);
    ASSERT_THAT(*waiting, SizeIs(1));
    EXPECT_EQ((*waiting)[0].id, id);
    EXPECT_EQ((*waiting)[0].waits_for, kAnn.key());
    ASSERT_THAT((*waiting)[0].recipients, SizeIs(1));
    EXPECT_THAT(*spool_->waiting(kHost, 0, 10), IsEmpty());
    EXPECT_THAT(*spool_->waiting(kAnn, (*waiting)[0].number, 10), IsEmpty());
}

/// Several changes a transaction, some of which are undone by a disk that fails.
class SpoolAccountsOnABadDisk : public SpoolAccounts {
protected:
    SpoolAccountsOnABadDisk() {
        vfs_name_ = testing::FaultVfs::kName;
        start();
        const auto first = transact([&] { return spool_->reserve(10000); });
        next_ = *first;
    }
    ~SpoolAccountsOnABadDisk() override { spool_.reset(); }

    std::size_t dice(std::size_t sides) { return random_() % sides; }

    void change_something() {
        const Account& account = dice(2) == 0 ? kAnn : kHost;
        Spool::Selection one;
        const auto list = spool_->list(0, 1000);
        if (list && !list->empty()) one.id = (*list)[dice(list->size())].id;
        switch (dice(7)) {
            case 0: {
                const auto message =
                    testing::message(next_++, clock_.now(), {"b@example.com"}, "x\r\n");
                (void)spool_->commit(message, 0, "x\r\n");
                break;
            }
            case 1:
            case 2: {
                const auto leases = spool_->lease_due(5);
                if (!leases) break;
                for (const Lease& each : *leases) (void)spool_->settle(outcome_of(each, account));
                break;
            }
            case 3:
                (void)spool_->wake(account, std::nullopt, 1 + dice(3));
                break;
            case 4:
                (void)(dice(2) == 0 ? spool_->hold(one) : spool_->release(one));
                break;
            case 5:
                (void)(dice(2) == 0 ? spool_->flush(one) : spool_->expire(one));
                break;
            case 6:
                if (dice(3) == 0) (void)spool_->remove(one);
                break;
        }
    }

    Settlement outcome_of(const Lease& lease, const Account& account) {
        Settlement settlement;
        settlement.number = lease.number;
        const Kind kind = dice(4) == 0 ? Kind::Sent : Kind::Deferred;
        settlement.outcomes.push_back(testing::outcome(0, kind));
        settlement.finished = true;
        settlement.next_attempt = clock_.now() + std::chrono::minutes{5};
        if (dice(4) != 0) settlement.waits_for = account.key();
        return settlement;
    }

    std::map<std::string, std::uint64_t> counted_by_hand() {
        std::map<std::string, std::uint64_t> counts;
        const auto list = spool_->list(0, 1000);
        if (!list) return counts;
        for (const ListedMessage& each : *list) {
            if (!each.waits_for.empty()) ++counts[each.waits_for];
        }
        return counts;
    }

    std::mt19937 random_{4711};
    std::uint64_t next_ = 0;
};

TEST_F(SpoolAccountsOnABadDisk, CountsAgreeWithTheMailWhateverIsDoneAndUndone) {
    int undone = 0;
    int spoilt = 0;
    std::size_t most = 0;
    for (int round = 0; round < 600; ++round) {
        spool_->rest();  // Its cache is empty, so that there is something to be read.
        if (dice(8) == 0) vfs_.fail(Operation::Read, 1 + static_cast<int>(dice(12)), SQLITE_IOERR);
        if (!spool_->begin()) {
            vfs_.heal();
            continue;
        }
        for (std::size_t i = dice(4); i > 0; --i) change_something();
        vfs_.heal();
        const auto counts = spool_->waiting_counts();
        if (counts) {
            ASSERT_EQ(*counts, counted_by_hand()) << "before the commit of round " << round;
        }
        if (dice(10) == 0) vfs_.fail(Operation::Sync, 1, SQLITE_IOERR);
        if (!counts) ++spoilt;
        if (!spool_->commit_transaction()) ++undone;
        vfs_.heal();
        if (spool_->is_broken()) {
            ASSERT_TRUE(spool_->reopen());
        }
        if (dice(50) == 0) start();
        ASSERT_EQ(*spool_->waiting_counts(), counted_by_hand()) << "after round " << round;
        most = std::max(most, spool_->waiting_counts()->size());
    }
    EXPECT_GT(spoilt, 5);
    EXPECT_GT(undone, spoilt + 5);
    EXPECT_EQ(most, 2U) << "both had mail waiting";
}

}  // namespace
}  // namespace postrider::queue
