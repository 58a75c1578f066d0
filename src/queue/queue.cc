#include "queue/queue.h"

#include <algorithm>
#include <utility>

#include <boost/asio/async_result.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "queue/storage_thread.h"

namespace postrider::queue {
namespace {

namespace asio = boost::asio;

constexpr Traits kPlain{};
constexpr Traits kMakesDue{.makes_due = true};
constexpr Traits kLeavesGarbage{.leaves_garbage = true};
constexpr Traits kBoth{.makes_due = true, .leaves_garbage = true};
constexpr Traits kPatient{.patient = true};
constexpr Traits kIndifferent{.indifferent = true};

/// Nothing but "not yet" to be recorded. If that gets lost the message is due again, as it was.
bool is_deferral(const Settlement& settlement) {
    return settlement.finished && settlement.reports.empty() && settlement.reported.empty() &&
           settlement.dead.empty() &&
           std::all_of(settlement.outcomes.begin(), settlement.outcomes.end(),
                       [](const Outcome& one) {
                           return one.disposition.kind == mail::Disposition::Kind::Deferred;
                       });
}

template <typename T, typename Body, typename Handler>
class Call final : public Job {
public:
    Call(Traits traits, Body body, Handler handler)
        : Job(traits), body_(std::move(body)), handler_(std::move(handler)) {}
    void run(Spool& spool) override { result_.emplace(body_(spool)); }
    void fail(const Error& error) override { result_.emplace(Unexpected(error)); }
    void complete() override { std::move(handler_)(std::move(*result_)); }

private:
    Body body_;
    Handler handler_;
    std::optional<Result<T>> result_;
};

}  // namespace

struct Queue::State : std::enable_shared_from_this<Queue::State> {
    template <typename T, typename Body>
    net::Awaitable<Result<T>> call(Body body, Traits traits = kPlain) {
        auto initiate = [thread = storage, traits](auto handler, Body the_body) {
            using Handler = decltype(handler);
            thread->submit(std::make_unique<Call<T, Body, Handler>>(traits, std::move(the_body),
                                                                    std::move(handler)));
        };
        return asio::async_initiate<const asio::use_awaitable_t<>&, void(Result<T>)>(
            std::move(initiate), asio::use_awaitable, std::move(body));
    }

    net::Awaitable<Result<std::uint64_t>> change(
        Result<Spool::Changed> (Spool::*verb)(const Spool::Selection&),
        std::optional<mail::QueueId> id, Traits traits);

    std::shared_ptr<StorageThread> storage;
};

net::Awaitable<Result<std::uint64_t>> Queue::State::change(
    Result<Spool::Changed> (Spool::*verb)(const Spool::Selection&), std::optional<mail::QueueId> id,
    Traits traits) {
    const auto self = shared_from_this();
    Spool::Selection selection;
    selection.id = std::move(id);
    std::uint64_t count = 0;
    for (;;) {
        auto body = [verb, selection](Spool& store) { return (store.*verb)(selection); };
        auto changed_some = co_await call<Spool::Changed>(std::move(body), traits);
        if (!changed_some) co_return Unexpected(std::move(changed_some).error());
        count += changed_some->count;
        if (!changed_some->last) co_return count;
        selection.after = *changed_some->last;
    }
}

Queue::Queue(std::unique_ptr<Spool> spool, asio::any_io_executor network, const Clock& clock,
             const Log& log, Storage storage)
    : state_(std::make_shared<State>()) {
    state_->storage =
        std::make_shared<StorageThread>(std::move(spool), std::move(network), clock, log, storage);
    state_->storage->start();
}

Queue::~Queue() {
    state_->storage->stop();
}

net::Awaitable<Result<std::uint64_t>> Queue::reserve(std::uint32_t count) {
    return state_->call<std::uint64_t>([count](Spool& spool) { return spool.reserve(count); });
}

net::Awaitable<Result<void>> Queue::append(std::uint64_t number, std::uint32_t piece,
                                           std::string bytes) {
    Traits traits;
    // What follows may go into a file once the message's row is durable.
    const bool must_commit = piece + 1 == Spool::kPiecesInDatabase;
    traits.uncommitted = must_commit ? 0 : bytes.size() + 1;
    return state_->call<void>([number, piece, bytes = std::move(bytes)](
                                  Spool& spool) { return spool.append(number, piece, bytes); },
                              traits);
}

net::Awaitable<Result<void>> Queue::commit(NewMessage message, std::uint32_t piece,
                                           std::string last_piece) {
    return state_->call<void>([message = std::move(message), piece, last = std::move(last_piece)](
                                  Spool& spool) { return spool.commit(message, piece, last); },
                              kMakesDue);
}

net::Awaitable<Result<void>> Queue::discard(std::uint64_t number) {
    return state_->call<void>([number](Spool& spool) { return spool.discard(number); },
                              kLeavesGarbage);
}

void Queue::forget(std::uint64_t number) {
    const auto body = [number](Spool& spool) { return spool.discard(number); };
    const auto ignore = [](Result<void>) {};
    state_->storage->submit(std::make_unique<Call<void, decltype(body), decltype(ignore)>>(
        kLeavesGarbage, body, ignore));
}

net::Awaitable<Result<std::vector<Lease>>> Queue::lease_due(std::size_t limit) {
    return state_->call<std::vector<Lease>>(
        [limit](Spool& spool) { return spool.lease_due(limit); }, kIndifferent);
}

net::Awaitable<Result<std::optional<WallTime>>> Queue::next_due() {
    return state_->call<std::optional<WallTime>>([](Spool& spool) { return spool.next_due(); },
                                                 kIndifferent);
}

net::Awaitable<Result<std::string>> Queue::read_piece(std::uint64_t number, std::uint32_t piece) {
    return state_->call<std::string>(
        [number, piece](Spool& spool) { return spool.read_piece(number, piece); }, kIndifferent);
}

net::Awaitable<Result<Settled>> Queue::settle(Settlement settlement) {
    const auto state = state_;
    const Traits traits = is_deferral(settlement)       ? kPatient
                          : !settlement.reports.empty() ? kBoth
                                                        : kLeavesGarbage;
    auto body = [settlement = std::move(settlement)](Spool& spool) {
        return spool.settle(settlement);
    };
    auto settled = co_await state->call<Settled>(std::move(body), traits);
    if (settled && settled->others_due) state->storage->tell_due();
    co_return settled;
}

net::Awaitable<Result<void>> Queue::summarise(Summary summary) {
    return state_->call<void>(
        [summary = std::move(summary)](Spool& spool) { return spool.summarise(summary); }, kBoth);
}

net::Awaitable<Result<std::uint64_t>> Queue::hold(std::optional<mail::QueueId> id) {
    return state_->change(&Spool::hold, std::move(id), kPlain);
}

net::Awaitable<Result<std::uint64_t>> Queue::release(std::optional<mail::QueueId> id) {
    return state_->change(&Spool::release, std::move(id), kMakesDue);
}

net::Awaitable<Result<std::uint64_t>> Queue::remove(std::optional<mail::QueueId> id) {
    return state_->change(&Spool::remove, std::move(id), kLeavesGarbage);
}

net::Awaitable<Result<std::uint64_t>> Queue::flush(std::optional<mail::QueueId> id) {
    return state_->change(&Spool::flush, std::move(id), kMakesDue);
}

net::Awaitable<Result<std::uint64_t>> Queue::expire(std::optional<mail::QueueId> id) {
    return state_->change(&Spool::expire, std::move(id), kMakesDue);
}

net::Awaitable<Result<std::vector<ListedMessage>>> Queue::list(std::uint64_t after,
                                                               std::size_t limit) {
    return state_->call<std::vector<ListedMessage>>(
        [after, limit](Spool& spool) { return spool.list(after, limit); });
}

net::Awaitable<Result<std::optional<ListedMessage>>> Queue::find(mail::QueueId id) {
    return state_->call<std::optional<ListedMessage>>(
        [id = std::move(id)](Spool& spool) { return spool.find(id); });
}

net::Awaitable<Result<QueueCounts>> Queue::counts() {
    return state_->call<QueueCounts>([](Spool& spool) { return spool.counts(); });
}

net::Awaitable<Result<std::vector<AccountTrouble>>> Queue::troubles() {
    return state_->call<std::vector<AccountTrouble>>([](Spool& spool) { return spool.troubles(); });
}

net::Awaitable<Result<void>> Queue::save(AccountTrouble trouble) {
    return state_->call<void>(
        [trouble = std::move(trouble)](Spool& spool) { return spool.save(trouble); });
}

net::Awaitable<Result<void>> Queue::forget(Account account) {
    return state_->call<void>(
        [account = std::move(account)](Spool& spool) { return spool.forget(account); });
}

net::Awaitable<Result<std::map<std::string, std::uint64_t>>> Queue::waiting_counts() {
    return state_->call<std::map<std::string, std::uint64_t>>(
        [](Spool& spool) { return spool.waiting_counts(); });
}

net::Awaitable<Result<std::vector<ListedMessage>>> Queue::waiting(Account account,
                                                                  std::uint64_t after,
                                                                  std::size_t limit) {
    return state_->call<std::vector<ListedMessage>>(
        [account = std::move(account), after, limit](Spool& spool) {
            return spool.waiting(account, after, limit);
        });
}

net::Awaitable<Result<std::uint64_t>> Queue::wake(Account account, std::optional<WallTime> reached,
                                                  std::size_t limit) {
    return state_->call<std::uint64_t>(
        [account = std::move(account), reached, limit](Spool& spool) {
            return spool.wake(account, reached, limit);
        },
        kMakesDue);
}

void Queue::on_due(std::function<void()> tell) {
    state_->storage->on_due(std::move(tell));
}

void Queue::on_health(std::function<void(const std::optional<Error>&)> tell) {
    state_->storage->on_health(std::move(tell));
}

std::uint64_t Queue::transaction_count() const {
    return state_->storage->transaction_count();
}

}  // namespace postrider::queue
