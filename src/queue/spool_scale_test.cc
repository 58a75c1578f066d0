// What a call costs does not follow how much mail waits: counted in SQLite's steps, not in time.
#include <map>

#include <gtest/gtest.h>

#include "queue/sqlite_spool.h"
#include "queue/store_files.h"
#include "queue/testing/samples.h"

namespace postrider::queue {
namespace {

using Kind = mail::Disposition::Kind;
using Costs = std::map<std::string, std::int64_t>;

const Account kAccount{"[smtp.example.net]:465", "ann@example.net"};

class Backlog {
public:
    explicit Backlog(std::size_t size) : spool_(Spool::Options(), true, clock_, {}, UniqueFd()) {
        EXPECT_TRUE(spool_.start());
        for (std::size_t i = 0; i < size; ++i) submit();
        // Half of it waits for its time, half for an account.
        bool odd = false;
        for (const Lease& lease : lease_all(size)) {
            settle(lease, Kind::Deferred, (odd = !odd) ? "" : kAccount.key());
        }
    }

    /// Of each call, with the backlog deferred and one message new.
    Costs costs() {
        Costs costs;
        costs["commit"] = steps([&] { submit(); });
        costs["counts"] = steps([&] { EXPECT_TRUE(spool_.counts()); });
        costs["next_due"] = steps([&] { EXPECT_TRUE(spool_.next_due()); });
        std::vector<Lease> leases;
        costs["lease_due"] = steps([&] { leases = lease_all(50); });
        EXPECT_EQ(leases.size(), 1U) << "the new message, past the backlog";
        costs["lease_due, nothing due"] = steps([&] { EXPECT_TRUE(lease_all(50).empty()); });
        costs["settle"] = steps([&] { settle(leases[0], Kind::Sent); });
        costs["next_due, nothing due"] = steps([&] { EXPECT_TRUE(spool_.next_due()); });
        costs["first page"] = steps([&] { EXPECT_EQ(spool_.list(0, 20)->size(), 20U); });
        costs["page in the middle"] =
            steps([&] { EXPECT_EQ(spool_.list(kFirstNumber + 100, 20)->size(), 20U); });
        const auto listed = spool_.list(kFirstNumber + 100, 1);
        costs["find"] = steps([&] { EXPECT_TRUE(spool_.find(listed->front().id)->has_value()); });
        costs["waiting_counts"] = steps([&] { EXPECT_EQ(spool_.waiting_counts()->size(), 1U); });
        costs["wake, nothing reached"] = steps([&] { EXPECT_EQ(wake(clock_.now(), 500), 0U); });
        costs["wake one"] = steps([&] { EXPECT_EQ(wake(std::nullopt, 1), 1U); });
        costs["collect_garbage"] =
            steps([&] { transact([&] { (void)*spool_.collect_garbage(); }); });
        return costs;
    }

private:
    template <typename Body>
    void transact(Body body) {
        EXPECT_TRUE(spool_.begin());
        body();
        EXPECT_TRUE(spool_.commit_transaction());
    }
    template <typename Body>
    std::int64_t steps(Body body) {
        const std::int64_t before = spool_.steps();
        body();
        return spool_.steps() - before;
    }
    void submit() {
        transact([&] {
            const auto message =
                testing::message(*spool_.reserve(1), clock_.now(), {"b@example.com"}, "x\r\n");
            EXPECT_TRUE(spool_.commit(message, 0, "x\r\n"));
        });
    }
    std::vector<Lease> lease_all(std::size_t limit) {
        std::vector<Lease> leases;
        transact([&] { leases = *spool_.lease_due(limit); });
        return leases;
    }
    std::uint64_t wake(std::optional<WallTime> reached, std::size_t limit) {
        std::uint64_t woken = 0;
        transact([&] { woken = *spool_.wake(kAccount, reached, limit); });
        return woken;
    }
    void settle(const Lease& lease, Kind kind, const std::string& waits_for = "") {
        Settlement settlement;
        settlement.number = lease.number;
        settlement.outcomes.push_back(testing::outcome(0, kind));
        settlement.finished = true;
        settlement.next_attempt = clock_.now() + std::chrono::minutes{30};
        settlement.waits_for = waits_for;
        transact([&] { EXPECT_TRUE(spool_.settle(settlement)); });
    }

    ManualClock clock_;
    SqliteSpool spool_;
};

TEST(SpoolScale, NoCallCostsMoreBecauseMoreMailWaits) {
    const Costs small = Backlog(300).costs();
    const Costs large = Backlog(6000).costs();
    for (const auto& [call, cost] : large) {
        EXPECT_LE(cost, small.at(call) + small.at(call) / 10 + 5) << call;
        EXPECT_LT(cost, 3000) << call;
    }
}

/// What a start costs with so many deferred messages in the store.
std::int64_t cost_of_start(int messages, bool cleanly_stopped) {
    const testing::TemporaryFolder folder;
    const ManualClock clock;
    CapturedLog lines;
    Spool::Options options;
    options.directory = folder.path();
    EXPECT_TRUE(Spool::open(options, clock, Log(lines, "qmgr")));
    {
        auto database = open_database({(folder.path() / "queue.db").string(), ""}, false);
        EXPECT_TRUE(database);
        const std::string rows =
            "WITH RECURSIVE n(i) AS (SELECT 0x10000 UNION ALL SELECT i + 1 FROM n LIMIT " +
            std::to_string(messages) +
            ") INSERT INTO message SELECT i, 1, i, 1, 1, 0, 0, 0, printf('00000%X', i), i, 0, "
            "1000, 'local', 3, 3, 4040718249, 0, 1, 0, '', 'a', 'example.org', '', 0, 0, 0, "
            "NULL, NULL FROM n";
        EXPECT_TRUE((*database)->execute(rows.c_str()));
        EXPECT_TRUE((*database)->execute(cleanly_stopped ? "UPDATE state SET stopped_cleanly = 1"
                                                         : "UPDATE state SET stopped_cleanly = 0"));
    }
    SqliteSpool spool(options, false, clock, Log(lines, "qmgr"), *lock_store(folder.path()));
    EXPECT_TRUE(spool.start());
    return spool.steps();
}

TEST(SpoolScale, AStartCostsNoMoreBecauseMoreMailWaits) {
    EXPECT_LE(cost_of_start(9000, true), cost_of_start(100, true) + 5);
    EXPECT_LT(cost_of_start(100, true), 1000);
}

TEST(SpoolScale, AfterAnUncleanStopOnlySmallTablesAreChecked) {
    EXPECT_GT(cost_of_start(9000, false), 9000) << "not looked at";
    EXPECT_LT(cost_of_start(30000, false), cost_of_start(9000, false));
}

TEST(SpoolScale, ControlCountingTheRowsWouldCostMore) {
    const auto rows = [](int size) {
        auto database = open_database({":memory:", ""}, true);
        EXPECT_TRUE(database);
        EXPECT_TRUE((*database)->execute(
            ("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT " +
             std::to_string(size) + ") INSERT INTO garbage SELECT i FROM n")
                .c_str()));
        const std::int64_t before = (*database)->steps();
        EXPECT_EQ(*(*database)->query_integer("SELECT sum(number > 0) FROM garbage"), size);
        return (*database)->steps() - before;
    };
    EXPECT_GT(rows(6000), 10 * rows(300));
}

}  // namespace
}  // namespace postrider::queue
