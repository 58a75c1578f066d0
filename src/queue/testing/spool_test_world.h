// A spool in memory or on a disk, and words for what happens to it.
#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "queue/spool.h"
#include "queue/testing/samples.h"

namespace postrider::queue::testing {

using Kind = mail::Disposition::Kind;

class SpoolTest : public ::testing::Test {
protected:
    SpoolTest() { start(); }

    virtual void start() { spool_ = Spool::open_in_memory(clock_); }

    template <typename Body>
    auto transact(Body body) {
        EXPECT_TRUE(spool_->begin());
        auto result = body();
        const auto committed = spool_->commit_transaction();
        // A call that stopped halfway took its transaction with it.
        EXPECT_TRUE(committed || !result) << committed.error().message;
        return result;
    }

    NewMessage new_message(const std::vector<std::string>& to, std::string_view content) {
        const auto number = transact([&] { return spool_->reserve(1); });
        NewMessage made = message(*number, clock_.now(), to, content);
        made.submitter_uid = submitter_;
        return made;
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
            settlement.outcomes.push_back(outcome(each.ordinal, kind));
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
    std::int64_t submitter_ = 1000;
};

/// On a disk; the next process is a reopen() away.
class SpoolOnDisk : public SpoolTest {
protected:
    SpoolOnDisk() { reopen(); }
    void start() override {}

    Result<std::unique_ptr<Spool>> try_open() {
        Spool::Options options;
        options.directory = folder_.path();
        options.free_space_floor = floor_;
        options.boot = "this boot";
        options.crashes_max = crashes_max_;
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

    TemporaryFolder folder_;
    CapturedLog lines_;
    std::uint64_t floor_ = 0;
    std::uint32_t crashes_max_ = 3;
};

}  // namespace postrider::queue::testing
