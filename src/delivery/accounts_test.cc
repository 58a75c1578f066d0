#include "delivery/accounts.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace postrider::delivery {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::SizeIs;
using Standing = Accounts::Standing;

const Account kAnn{"[smtp.example.net]:465", "ann"};
const Account kBob{"[smtp.example.net]:465", "bob"};
const Account kHost{"[smtp.example.net]:465", ""};

Verdict verdict(Trouble trouble) {
    Verdict made;
    made.trouble = trouble;
    made.reach = Reach::Account;
    made.disposition.text = "no";
    return made;
}

class AccountsTest : public testing::Test {
protected:
    Standing standing(const Account& account) { return accounts.rule(account, now).standing; }
    void fail(const Account& account, Trouble trouble) {
        accounts.begin_probe(account);
        ASSERT_NE(accounts.failed(account, verdict(trouble), 17, now, now), nullptr);
        accounts.end_probe(account);
    }
    std::vector<AccountTrouble> work(const Account& account, bool sent = true) {
        Proof proof;
        proof.logged_in = now;
        proof.begun = now;
        proof.sent = sent;
        return accounts.worked(account, proof);
    }

    RetryOptions retry;
    Accounts accounts{retry};
    WallTime now{1000000s};
};

TEST_F(AccountsTest, ARefusedLoginIsTriedOnceAnIntervalAndTheIntervalsDouble) {
    fail(kAnn, Trouble::LoginRefused);
    const WallTime since = now;
    for (const auto expected : {300s, 600s, 1200s, 2400s, 3600s, 3600s}) {
        EXPECT_EQ(accounts.find(kAnn)->next_attempt, now + expected);
        EXPECT_EQ(accounts.find(kAnn)->since, since);
        now += expected - 1s;
        EXPECT_EQ(standing(kAnn), Standing::Blocked);
        EXPECT_THAT(accounts.due(now), IsEmpty());
        now += 1s;
        EXPECT_THAT(accounts.due(now), SizeIs(1));
        EXPECT_THAT(accounts.due(now), IsEmpty()) << "asked for once";
        EXPECT_EQ(standing(kAnn), Standing::Probe);
        accounts.begin_probe(kAnn);
        EXPECT_EQ(standing(kAnn), Standing::Blocked) << "one attempt per interval";
        ASSERT_NE(accounts.failed(kAnn, verdict(Trouble::LoginRefused), 17, now, now), nullptr);
    }
}

TEST_F(AccountsTest, TheTroubleOfOneLoginIsNotAnothers) {
    fail(kAnn, Trouble::LoginRefused);
    EXPECT_EQ(standing(kBob), Standing::Good);
    EXPECT_EQ(standing(kHost), Standing::Good);
}

TEST_F(AccountsTest, TheTroubleOfTheSmarthostIsEverybodys) {
    fail(kAnn, Trouble::Unreachable);
    EXPECT_EQ(standing(kBob), Standing::Blocked);
    EXPECT_EQ(accounts.rule(kBob, now).trouble->account.login, "");
    EXPECT_EQ(accounts.find(kHost)->password_mark, -1);
}

TEST_F(AccountsTest, WhatWasUnderWayTellsNoNews) {
    const WallTime before = now;
    now += 1s;
    fail(kAnn, Trouble::LoginRefused);
    now += 1s;
    EXPECT_EQ(accounts.failed(kAnn, verdict(Trouble::LoginRefused), 17, before, now), nullptr);
    EXPECT_EQ(accounts.find(kAnn)->interval, 300s);
}

TEST_F(AccountsTest, WhatBeganBeforeProvesNothing) {
    Proof old;
    old.logged_in = now;
    old.begun = now;
    old.sent = true;
    now += 1s;
    fail(kAnn, Trouble::LoginRefused);
    EXPECT_THAT(accounts.worked(kAnn, old), IsEmpty());
    old.begun = now + 1s;
    EXPECT_THAT(accounts.worked(kAnn, old), IsEmpty()) << "an old session has logged in before";
    EXPECT_THAT(work(kAnn), SizeIs(1));
    EXPECT_EQ(standing(kAnn), Standing::Good);
}

TEST_F(AccountsTest, AQuotaIsOverWhenMailIsTakenNotWhenALoginIs) {
    fail(kAnn, Trouble::QuotaReached);
    now += 301s;
    EXPECT_THAT(work(kAnn, false), IsEmpty());
    EXPECT_THAT(work(kAnn, true), SizeIs(1));
}

TEST_F(AccountsTest, APauseIsEndedByTheOperatorAlone) {
    accounts.pause(kHost.next_hops, now);
    now += 24h * 365;
    EXPECT_EQ(standing(kAnn), Standing::Blocked);
    EXPECT_THAT(accounts.due(now), IsEmpty());
    EXPECT_FALSE(accounts.next_due());
    EXPECT_THAT(work(kAnn), IsEmpty());
    accounts.try_now(true, now);
    EXPECT_EQ(standing(kAnn), Standing::Blocked);
    EXPECT_EQ(accounts.failed(kAnn, verdict(Trouble::Unreachable), -1, now, now), nullptr);
    EXPECT_THAT(accounts.resume("[other.example]:25", now), IsEmpty());
    EXPECT_THAT(accounts.resume(kHost.next_hops, now), SizeIs(1));
    EXPECT_EQ(standing(kAnn), Standing::Good);
}

TEST_F(AccountsTest, AnOperatorsFlushTriesEverythingTheNetworksReturnNoLogins) {
    fail(kAnn, Trouble::LoginRefused);
    fail(kAnn, Trouble::Unreachable);
    accounts.try_now(false, now);
    EXPECT_EQ(standing(kBob), Standing::Probe);
    EXPECT_EQ(standing(kAnn), Standing::Blocked);
    accounts.try_now(true, now);
    EXPECT_EQ(standing(kAnn), Standing::Probe);
}

TEST_F(AccountsTest, ANewProcessKeepsTheIntervalOfARefusedLogin) {
    fail(kAnn, Trouble::LoginRefused);
    fail(kBob, Trouble::Unreachable);
    Accounts next(retry);
    next.load(accounts.all(), now + 10s);
    EXPECT_EQ(next.rule(kBob, now + 10s).standing, Standing::Probe) << "the smarthost";
    EXPECT_EQ(next.rule(kAnn, now + 10s).standing, Standing::Blocked);
    EXPECT_EQ(next.find(kAnn)->next_attempt, now + 300s);
}

TEST_F(AccountsTest, AClockThatWentBackDoesNotPutAProbeOffForYears) {
    fail(kAnn, Trouble::LoginRefused);
    now -= 24h * 365;
    EXPECT_EQ(standing(kAnn), Standing::Probe);
    EXPECT_THAT(accounts.due(now), SizeIs(1));
}

TEST_F(AccountsTest, AProbeThatWentAwayIsAskedForAgain) {
    fail(kAnn, Trouble::LoginRefused);
    now += 300s;
    EXPECT_THAT(accounts.due(now), SizeIs(1));
    EXPECT_EQ(accounts.next_due(), now + 60s);
    EXPECT_THAT(accounts.due(now + 60s), SizeIs(1));
}

TEST_F(AccountsTest, AnotherTroubleIsANewIncident) {
    fail(kAnn, Trouble::LoginRefused);
    accounts.set_alerted(kAnn);
    now += 300s;
    fail(kAnn, Trouble::QuotaReached);
    EXPECT_FALSE(accounts.find(kAnn)->alerted);
    EXPECT_EQ(accounts.find(kAnn)->since, now);
    EXPECT_EQ(accounts.find(kAnn)->interval, 300s);
}

}  // namespace
}  // namespace postrider::delivery
