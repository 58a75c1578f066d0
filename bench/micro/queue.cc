// What the store costs: a message from commit to settled, alone and with others in a transaction.
#include "counted.h"
#include "queue/spool.h"
#include "queue/testing/samples.h"

namespace postrider::queue {
namespace {

using mail::Disposition;

void check(bool fine, benchmark::State& state) {
    if (!fine) state.SkipWithError("the spool refused");
}

/// Messages committed in one transaction, leased in another, settled in a third.
void life_of_messages(benchmark::State& state) {
    const testing::TemporaryFolder folder;
    const SystemClock clock;
    CapturedLog captured;
    Spool::Options options;
    options.directory = folder.path();
    auto spool = Spool::open(options, clock, Log(captured, "qmgr"));
    if (!spool) return state.SkipWithError(spool.error().message.c_str());
    Spool& store = **spool;
    const auto group = static_cast<std::size_t>(state.range(0));
    const std::string content(4096, 'x');
    check(store.begin().has_value(), state);
    std::uint64_t number = *store.reserve(100'000'000);
    check(store.commit_transaction().has_value(), state);

    for (auto _ : state) {
        check(store.begin().has_value(), state);
        for (std::size_t i = 0; i < group; ++i) {
            const auto message =
                testing::message(number++, clock.now(), {"bob@corp.example"}, content);
            check(store.commit(message, 0, content).has_value(), state);
        }
        check(store.commit_transaction().has_value(), state);

        check(store.begin().has_value(), state);
        const auto leases = store.lease_due(group);
        check(leases && leases->size() == group, state);
        check(store.commit_transaction().has_value(), state);

        check(store.begin().has_value(), state);
        for (const Lease& lease : *leases) {
            benchmark::DoNotOptimize(store.read_piece(lease.number, 0));
            Settlement settlement;
            settlement.number = lease.number;
            settlement.outcomes.push_back(testing::outcome(0, Disposition::Kind::Sent));
            settlement.finished = true;
            check(store.settle(settlement).has_value(), state);
        }
        check(store.collect_garbage().has_value(), state);
        check(store.commit_transaction().has_value(), state);
        check(store.checkpoint(false).has_value(), state);
    }
    state.SetItemsProcessed(state.iterations() * state.range(0));
}
BENCHMARK(life_of_messages)->Apply(counted)->Arg(1)->Arg(50)->UseRealTime();

}  // namespace
}  // namespace postrider::queue
