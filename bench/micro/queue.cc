// What the store costs: a message from commit to settled, alone and with others in a transaction.
#include <memory>
#include <vector>

#include "counted.h"
#include "queue/spool.h"
#include "queue/testing/samples.h"

namespace postrider::queue {
namespace {

using mail::Disposition;

void check(bool fine, benchmark::State& state) {
    if (!fine) state.SkipWithError("the spool refused");
}

/// A store on the disk, which takes mail of 4 KB, leases it and learns what became of it: each in
/// one transaction for all.
class Store {
public:
    explicit Store(benchmark::State& state) : state_(state) {
        Spool::Options options;
        options.directory = folder_.path();
        auto opened = Spool::open(options, clock_, Log(captured_, "qmgr"));
        if (!opened) {
            state.SkipWithError(opened.error().message.c_str());
            return;
        }
        spool_ = std::move(*opened);
        transact([&] { number_ = *spool_->reserve(100'000'000); });
    }

    void take(std::size_t count) {
        transact([&] {
            for (std::size_t i = 0; i < count; ++i) {
                const auto message =
                    testing::message(number_++, clock_.now(), {"bob@corp.example"}, content_);
                check(spool_->commit(message, 0, content_).has_value(), state_);
            }
        });
    }

    void settle_all(std::size_t count, Disposition::Kind kind) {
        std::vector<Lease> leases;
        transact([&] {
            auto due = spool_->lease_due(count);
            check(due && due->size() == count, state_);
            if (due) leases = std::move(*due);
        });
        transact([&] {
            for (const Lease& lease : leases) settle(lease, kind);
            check(spool_->collect_garbage().has_value(), state_);
        });
        check(spool_->checkpoint(false).has_value(), state_);
    }

    bool is_open() const { return spool_ != nullptr; }

private:
    void settle(const Lease& lease, Disposition::Kind kind) {
        Settlement settlement;
        settlement.number = lease.number;
        settlement.outcomes.push_back(testing::outcome(0, kind));
        settlement.finished = true;
        if (kind == Disposition::Kind::Sent) {
            benchmark::DoNotOptimize(spool_->read_piece(lease.number, 0));
        } else {
            settlement.next_attempt = clock_.now() + std::chrono::minutes{5};
            settlement.waits_for = "[smtp.example.net]:465";
        }
        check(spool_->settle(settlement).has_value(), state_);
    }

    template <typename Body>
    void transact(Body body) {
        check(spool_->begin().has_value(), state_);
        body();
        check(spool_->commit_transaction().has_value(), state_);
    }

    benchmark::State& state_;
    const testing::TemporaryFolder folder_;
    const SystemClock clock_;
    CapturedLog captured_;
    const std::string content_ = std::string(4096, 'x');
    std::unique_ptr<Spool> spool_;
    std::uint64_t number_ = 0;
};

void live(benchmark::State& state, Disposition::Kind kind) {
    Store store(state);
    if (!store.is_open()) return;
    const auto group = static_cast<std::size_t>(state.range(0));
    for (auto _ : state) {
        store.take(group);
        store.settle_all(group, kind);
    }
    state.SetItemsProcessed(state.iterations() * state.range(0));
}

void life_of_messages(benchmark::State& state) {
    live(state, Disposition::Kind::Sent);
}
BENCHMARK(life_of_messages)->Apply(counted)->Arg(1)->Arg(50)->UseRealTime();

/// They wait for a smarthost that cannot be reached.
void deferral_of_messages(benchmark::State& state) {
    live(state, Disposition::Kind::Deferred);
}
BENCHMARK(deferral_of_messages)->Apply(counted)->Arg(50)->UseRealTime();

}  // namespace
}  // namespace postrider::queue
