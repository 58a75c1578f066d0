#include "queue/queue.h"

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>
#include <utility>

#include <boost/asio/async_result.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>

namespace postrider::queue {
namespace {

namespace asio = boost::asio;

/// Calls in one transaction: bounds how long the first of them waits.
constexpr std::size_t kBatchMax = 2000;
/// Content that may wait in an open transaction for the next commit.
constexpr std::size_t kUncommittedMax = 4UL * 1024 * 1024;
/// Removed messages after which their content is deleted even though calls are waiting.
constexpr std::size_t kGarbageMax = 256;
constexpr auto kIdleAfter = std::chrono::milliseconds{20};
constexpr auto kReopenMin = std::chrono::milliseconds{200};
constexpr auto kReopenMax = std::chrono::milliseconds{10000};

/// What a call means to the batch it is in.
struct Traits {
    bool makes_due = false;       ///< Something may have become due.
    bool leaves_garbage = false;  ///< Content may have become useless.
    /// Bytes of a call that promises nothing yet, so that it need not wait for a sync: a piece that
    /// got lost is missed when its message is committed. 0 for calls that promise something.
    std::size_t uncommitted = 0;
};

constexpr Traits kPlain{};
constexpr Traits kMakesDue{.makes_due = true, .leaves_garbage = false, .uncommitted = 0};
constexpr Traits kLeavesGarbage{.makes_due = false, .leaves_garbage = true, .uncommitted = 0};
constexpr Traits kBoth{.makes_due = true, .leaves_garbage = true, .uncommitted = 0};

/// One call on its way through the storage thread.
class Job {
public:
    explicit Job(Traits traits) : traits_(traits) {}
    virtual ~Job() = default;
    /// May be run again after fail(), when its transaction did not hold.
    virtual void run(Spool&) = 0;
    virtual void fail(const Error&) = 0;
    /// Resumes the caller. On the network thread, once.
    virtual void complete() = 0;
    const Traits& traits() const { return traits_; }

private:
    Traits traits_;
};

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

using Jobs = std::deque<std::unique_ptr<Job>>;
using Callback = std::function<void()>;

}  // namespace

struct Queue::State : std::enable_shared_from_this<Queue::State> {
    State(std::unique_ptr<Spool> the_spool, asio::any_io_executor executor, const Clock& the_clock,
          const Log& the_log, Storage the_storage)
        : network(std::move(executor)),
          clock(the_clock),
          log(the_log),
          storage(the_storage),
          spool(std::move(the_spool)) {}

    template <typename T, typename Body>
    net::Awaitable<Result<T>> call(Body body, Traits traits = kPlain) {
        auto initiate = [this, traits](auto handler, Body the_body) {
            using Handler = decltype(handler);
            submit(std::make_unique<Call<T, Body, Handler>>(traits, std::move(the_body),
                                                            std::move(handler)));
        };
        return asio::async_initiate<const asio::use_awaitable_t<>&, void(Result<T>)>(
            std::move(initiate), asio::use_awaitable, std::move(body));
    }

    net::Awaitable<Result<std::uint64_t>> change(
        Result<Spool::Changed> (Spool::*verb)(const Spool::Selection&),
        std::optional<mail::QueueId> id, Traits traits);

    void submit(std::unique_ptr<Job>);
    void work();
    void run_soon();
    void run(Jobs);
    void run_alone(std::unique_ptr<Job>&);
    bool run_together(Jobs&);
    bool ready(Jobs&);
    bool leave_open(const Jobs&);
    Result<void> commit();
    void complete(Jobs);
    void tidy();
    void collect();
    void checkpoint(bool idle);
    void complain(const Error&);

    // Constant.
    const asio::any_io_executor network;
    const Clock& clock;
    const Log log;
    const Storage storage;
    const std::shared_ptr<Callback> on_due = std::make_shared<Callback>();

    // Of the storage thread; of the network thread when inline.
    const std::unique_ptr<Spool> spool;
    bool transaction_open = false;  ///< Left open after calls that promise nothing.
    std::size_t uncommitted = 0;
    std::size_t garbage = 1;  ///< Unknown at the start.
    bool wrote = true;
    bool complained = false;
    std::chrono::milliseconds reopen_delay = kReopenMin;
    MonotonicTime reopen_at{};

    std::atomic<std::uint64_t> transactions{0};

    // Guarded by mutex.
    std::mutex mutex;
    std::condition_variable changed;
    Jobs waiting;
    bool stopping = false;
    bool turn_posted = false;  ///< Inline only.

    std::thread thread;
};

void Queue::State::submit(std::unique_ptr<Job> job) {
    std::unique_lock lock(mutex);
    if (waiting.size() >= kWaitingMax) {
        lock.unlock();
        job->fail({ErrorCode::Limit, "too many calls wait for the queue store"});
        Jobs refused;
        refused.push_back(std::move(job));
        complete(std::move(refused));
        return;
    }
    waiting.push_back(std::move(job));
    if (storage == Storage::Thread) {
        lock.unlock();
        changed.notify_one();
    } else if (!std::exchange(turn_posted, true)) {
        lock.unlock();
        run_soon();
    }
}

void Queue::State::run_soon() {
    asio::post(network, [weak = weak_from_this()] {
        const auto state = weak.lock();
        if (!state) return;
        Jobs jobs;
        {
            const std::lock_guard guard(state->mutex);
            state->turn_posted = false;
            jobs.swap(state->waiting);
        }
        state->run(std::move(jobs));
        if (!state->transaction_open) state->tidy();
    });
}

/// While one batch is being synced the next one gathers: batches grow with the load and the disk's
/// slowness by themselves, and nobody waits for company.
void Queue::State::work() {
    std::unique_lock lock(mutex);
    while (!stopping || !waiting.empty()) {
        if (waiting.empty()) {
            const bool untidy = transaction_open || garbage > 0 || wrote;
            const auto some_work = [this] { return stopping || !waiting.empty(); };
            if (spool->is_broken()) {
                changed.wait_for(lock, reopen_delay, some_work);
            } else if (untidy) {
                changed.wait_for(lock, kIdleAfter, some_work);
            } else {
                changed.wait(lock, some_work);
            }
        }
        Jobs jobs;
        const std::size_t count = std::min(waiting.size(), kBatchMax);
        for (std::size_t i = 0; i < count; ++i) {
            jobs.push_back(std::move(waiting.front()));
            waiting.pop_front();
        }
        lock.unlock();
        if (jobs.empty()) {
            tidy();
        } else {
            run(std::move(jobs));
        }
        lock.lock();
    }
}

/// False if the store is broken and still is after trying; then the jobs have failed.
bool Queue::State::ready(Jobs& jobs) {
    if (!spool->is_broken()) return true;
    transaction_open = false;
    Error error{ErrorCode::Unavailable, "queue store is broken and being reopened"};
    if (clock.monotonic() >= reopen_at) {
        const auto reopened = spool->reopen();
        if (reopened) {
            reopen_delay = kReopenMin;
            complained = false;
            return true;
        }
        complain(reopened.error());
        reopen_delay = std::min(reopen_delay * 2, kReopenMax);
        reopen_at = clock.monotonic() + reopen_delay;
        error.message += ": " + reopened.error().message;
    }
    for (const auto& job : jobs) job->fail(error);
    return false;
}

void Queue::State::run(Jobs jobs) {
    if (jobs.empty()) return;
    if (ready(jobs) && !run_together(jobs)) {
        // One call's trouble, say no room for its content, is not the others'.
        for (auto& job : jobs) run_alone(job);
    }
    for (const auto& job : jobs) {
        if (job->traits().leaves_garbage) ++garbage;
    }
    wrote = true;
    complete(std::move(jobs));
    if (!transaction_open) checkpoint(false);
}

/// False if the transaction did not hold and the calls are worth another try, each for itself.
bool Queue::State::run_together(Jobs& jobs) {
    const bool joined = transaction_open;
    Result<void> done;
    if (!transaction_open) done = spool->begin();
    transaction_open = done.has_value();
    if (done) {
        for (const auto& job : jobs) job->run(*spool);
        if (garbage > kGarbageMax) collect();
        if (leave_open(jobs)) return true;
        done = commit();
    }
    if (done) return true;
    if ((jobs.size() > 1 || joined) && !spool->is_broken()) return false;
    for (const auto& job : jobs) job->fail(done.error());
    return true;
}

void Queue::State::run_alone(std::unique_ptr<Job>& job) {
    Jobs one;
    one.push_back(std::move(job));
    if (ready(one)) {
        Result<void> done = spool->begin();
        if (done) {
            one.front()->run(*spool);
            done = commit();
        }
        if (!done) one.front()->fail(done.error());
    }
    job = std::move(one.front());
}

bool Queue::State::leave_open(const Jobs& jobs) {
    for (const auto& job : jobs) {
        if (job->traits().uncommitted == 0) return false;
        uncommitted += job->traits().uncommitted;
    }
    return uncommitted <= kUncommittedMax;
}

Result<void> Queue::State::commit() {
    transaction_open = false;
    uncommitted = 0;
    auto done = spool->commit_transaction();
    if (done) ++transactions;
    return done;
}

/// One hop for the whole batch.
void Queue::State::complete(Jobs jobs) {
    asio::post(network, [jobs = std::move(jobs), tell = on_due] {
        bool due = false;
        for (const auto& job : jobs) {
            due = due || job->traits().makes_due;
            job->complete();
        }
        if (due && *tell) (*tell)();
    });
}

/// What nobody waits for: a bounded step of it.
void Queue::State::tidy() {
    Jobs none;
    if (!ready(none)) return;
    if (!transaction_open && garbage > 0) {
        const auto begun = spool->begin();
        transaction_open = begun.has_value();
        if (!begun) garbage = 0;
    }
    if (transaction_open) {
        if (garbage > 0) collect();
        if (const auto done = commit(); !done) {
            complain(done.error());
            garbage = 0;
        }
    }
    wrote = garbage > 0;
    checkpoint(true);
}

void Queue::State::collect() {
    const auto more = spool->collect_garbage();
    if (!more) complain(more.error());
    // After an error the next removed message makes it try again.
    garbage = more && *more ? std::max<std::size_t>(garbage, 1) : 0;
}

void Queue::State::checkpoint(bool idle) {
    if (spool->is_broken()) return;
    const auto done = spool->checkpoint(idle);
    if (!done) {
        complain(done.error());
    } else {
        complained = false;
    }
}

void Queue::State::complain(const Error& error) {
    if (!std::exchange(complained, true)) log.warning("queue store: " + error.message);
}

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
    : state_(std::make_shared<State>(std::move(spool), std::move(network), clock, log, storage)) {
    if (storage == Storage::Thread) state_->thread = std::thread([s = state_.get()] { s->work(); });
}

Queue::~Queue() {
    Jobs left;
    {
        const std::lock_guard guard(state_->mutex);
        state_->stopping = true;
        if (state_->storage == Storage::Inline) left.swap(state_->waiting);
    }
    state_->changed.notify_one();
    if (state_->thread.joinable()) state_->thread.join();
    state_->run(std::move(left));
    if (state_->transaction_open) (void)state_->commit();
}

net::Awaitable<Result<std::uint64_t>> Queue::reserve(std::uint32_t count) {
    return state_->call<std::uint64_t>([count](Spool& spool) { return spool.reserve(count); });
}

net::Awaitable<Result<void>> Queue::append(std::uint64_t number, std::uint32_t piece,
                                           std::string bytes) {
    Traits traits;
    traits.uncommitted = bytes.size() + 1;
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
    state_->submit(std::make_unique<Call<void, decltype(body), decltype(ignore)>>(kLeavesGarbage,
                                                                                  body, ignore));
}

net::Awaitable<Result<std::vector<Lease>>> Queue::lease_due(std::size_t limit) {
    return state_->call<std::vector<Lease>>(
        [limit](Spool& spool) { return spool.lease_due(limit); });
}

net::Awaitable<Result<std::optional<WallTime>>> Queue::next_due() {
    return state_->call<std::optional<WallTime>>([](Spool& spool) { return spool.next_due(); });
}

net::Awaitable<Result<std::string>> Queue::read_piece(std::uint64_t number, std::uint32_t piece) {
    return state_->call<std::string>(
        [number, piece](Spool& spool) { return spool.read_piece(number, piece); });
}

net::Awaitable<Result<Settled>> Queue::settle(Settlement settlement) {
    const bool reports = !settlement.reports.empty();
    return state_->call<Settled>(
        [settlement = std::move(settlement)](Spool& spool) { return spool.settle(settlement); },
        reports ? kBoth : kLeavesGarbage);
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

void Queue::on_due(std::function<void()> tell) {
    *state_->on_due = std::move(tell);
}

std::uint64_t Queue::transaction_count() const {
    return state_->transactions;
}

}  // namespace postrider::queue
