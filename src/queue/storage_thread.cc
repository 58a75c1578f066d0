#include "queue/storage_thread.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include <boost/asio/post.hpp>

#include "core/code_pages.h"

namespace postrider::queue {
namespace {

namespace asio = boost::asio;

/// Calls in one transaction: bounds how long the first of them waits.
constexpr std::size_t kBatchMax = 2000;
/// Patient calls that are company enough for each other.
constexpr std::size_t kPatientMax = 64;
/// Content that may wait in an open transaction for the next commit.
constexpr std::size_t kUncommittedMax = 4UL * 1024 * 1024;
/// Removed messages after which their content is deleted even though calls are waiting.
constexpr std::size_t kGarbageMax = 256;
constexpr auto kIdleAfter = std::chrono::milliseconds{20};
/// After so long without a call the memory that the work took is given back. To read it again costs
/// the next message some tenths of a millisecond.
constexpr auto kRestAfter = std::chrono::milliseconds{500};
/// Without a call, while room is missing that is kept back for outcomes.
constexpr auto kReserveAfter = std::chrono::seconds{5};
constexpr Duration kReopenMin = std::chrono::milliseconds{200};
constexpr Duration kReopenMax = std::chrono::seconds{10};

}  // namespace

StorageThread::StorageThread(std::unique_ptr<Spool> spool, asio::any_io_executor network,
                             const Clock& clock, const Log& log, Queue::Storage storage)
    : network_(std::move(network)),
      clock_(clock),
      log_(log),
      storage_(storage),
      on_due_(std::make_shared<std::function<void()>>()),
      on_health_(std::make_shared<std::function<void(const std::optional<Error>&)>>()),
      spool_(std::move(spool)),
      reopen_delay_(kReopenMin),
      reopen_timer_(network_),
      patience_timer_(network_) {}

void StorageThread::start() {
    if (storage_ == Queue::Storage::Thread) thread_ = std::thread([this] { work(); });
}

void StorageThread::stop() {
    Jobs left;
    {
        const std::lock_guard guard(mutex_);
        stopping_ = true;
        hurry();
        if (storage_ == Queue::Storage::Inline) left.swap(waiting_);
    }
    changed_.notify_one();
    if (thread_.joinable()) thread_.join();
    reopen_timer_.cancel();
    patience_timer_.cancel();
    run(std::move(left));
    if (transaction_open_) (void)commit();
    reopen_at_ = {};
    (void)ready();
    unresolved_.clear();
    spool_.reset();
}

void StorageThread::submit(std::unique_ptr<Job> job) {
    std::unique_lock lock(mutex_);
    if (stopping_ || waiting_.size() + patient_.size() >= Queue::kWaitingMax) {
        const Error error =
            stopping_ ? Error{ErrorCode::Unavailable, "the queue is closed"}
                      : Error{ErrorCode::Limit, "too many calls wait for the queue store"};
        lock.unlock();
        Jobs one;
        one.push_back(std::move(job));
        return refuse(std::move(one), error);
    }
    const Traits traits = job->traits();
    bool wakes = true;
    if (traits.patient) {
        // The first one tells the thread until when it may sleep.
        wakes = patient_.empty();
        if (wakes) hurry_later();
        patient_.push_back(std::move(job));
        if (patient_.size() >= kPatientMax) {
            hurry();
            wakes = true;
        }
    } else {
        if (!traits.indifferent) hurry();
        waiting_.push_back(std::move(job));
    }
    if (storage_ == Queue::Storage::Thread) {
        lock.unlock();
        if (wakes) changed_.notify_one();
    } else if (!waiting_.empty() && !std::exchange(turn_posted_, true)) {
        lock.unlock();
        run_soon();
    }
}

/// With the mutex: patient calls are run with what waits.
void StorageThread::hurry() {
    std::move(patient_.begin(), patient_.end(), std::back_inserter(waiting_));
    patient_.clear();
}

/// With the mutex.
void StorageThread::hurry_later() {
    patience_ends_ = clock_.monotonic() + kPatience;
    if (storage_ == Queue::Storage::Thread) return;
    patience_timer_.expires_after(kPatience);
    patience_timer_.async_wait(
        [weak = weak_from_this()](const boost::system::error_code& cancelled) {
            const auto self = weak.lock();
            if (!self || cancelled) return;
            const std::lock_guard guard(self->mutex_);
            self->hurry();
            if (!self->waiting_.empty() && !std::exchange(self->turn_posted_, true)) {
                self->run_soon();
            }
        });
}

void StorageThread::run_soon() {
    asio::post(network_, [weak = weak_from_this()] {
        const auto self = weak.lock();
        if (!self || self->spool_ == nullptr) return;
        Jobs jobs;
        {
            const std::lock_guard guard(self->mutex_);
            self->turn_posted_ = false;
            jobs.swap(self->waiting_);
        }
        self->run(std::move(jobs));
        if (!self->transaction_open_) self->tidy();
        self->watch_health();
        if (self->spool_->is_broken()) self->resolve_later();
    });
}

void StorageThread::resolve_later() {
    reopen_timer_.expires_after(reopen_delay_);
    reopen_timer_.async_wait([weak = weak_from_this()](const boost::system::error_code& cancelled) {
        const auto self = weak.lock();
        if (!self || cancelled) return;
        if (!self->ready()) self->resolve_later();
        self->watch_health();
    });
}

void StorageThread::work() {
    std::unique_lock lock(mutex_);
    while (!stopping_ || !waiting_.empty()) {
        if (waiting_.empty()) {
            const bool untidy = transaction_open_ || garbage_ > 0 || wrote_;
            const auto hurried = [this] { return stopping_ || !waiting_.empty(); };
            const auto some_work = [&] { return hurried() || !patient_.empty(); };
            if (!patient_.empty()) {
                const auto left = patience_ends_ - clock_.monotonic();
                if (!changed_.wait_for(lock, left, hurried)) hurry();
                continue;
            }
            if (spool_->is_broken()) {
                changed_.wait_for(lock, reopen_delay_, some_work);
            } else if (untidy) {
                changed_.wait_for(lock, kIdleAfter, some_work);
            } else if (!rested_) {
                rested_ = !changed_.wait_for(lock, kRestAfter, some_work);
                if (!rested_) continue;
                lock.unlock();
                spool_->rest();
                // Nobody has asked for anything, so the network thread has nothing to do, either.
                forget_code_pages();
                lock.lock();
                continue;
            } else if (spool_->lacks_reserve()) {
                changed_.wait_for(lock, kReserveAfter, some_work);
            } else {
                changed_.wait(lock, some_work);
            }
            if (waiting_.empty() && !patient_.empty()) continue;
        }
        Jobs jobs;
        const std::size_t count = std::min(waiting_.size(), kBatchMax);
        for (std::size_t i = 0; i < count; ++i) {
            jobs.push_back(std::move(waiting_.front()));
            waiting_.pop_front();
        }
        lock.unlock();
        rested_ = false;
        if (jobs.empty()) {
            tidy();
        } else {
            run(std::move(jobs));
        }
        watch_health();
        lock.lock();
    }
}

/// False if the spool is broken and still is after trying.
bool StorageThread::ready() {
    if (!spool_->is_broken()) return true;
    transaction_open_ = false;
    if (clock_.monotonic() < reopen_at_) return false;
    const auto holds = spool_->reopen();
    if (!holds) {
        complain(holds.error());
        reopen_delay_ = std::min(reopen_delay_ * 2, kReopenMax);
        reopen_at_ = clock_.monotonic() + reopen_delay_;
        return false;
    }
    reopen_delay_ = kReopenMin;
    reopen_at_ = {};
    complained_ = false;
    resolved(*holds);
    return true;
}

void StorageThread::resolved(bool holds) {
    if (holds) {
        answer(std::exchange(unresolved_, {}));
    } else {
        refuse(std::exchange(unresolved_, {}), trouble_);
    }
}

void StorageThread::run(Jobs jobs) {
    if (jobs.empty()) return;
    if (!ready()) return refuse(std::move(jobs), trouble_);
    switch (run_together(jobs)) {
        case Outcome::Known:
            answer(std::move(jobs));
            break;
        case Outcome::Undone:
            run_alone(std::move(jobs));
            break;
        case Outcome::Unknown:
            break;
    }
    if (!transaction_open_) checkpoint(false);
}

StorageThread::Outcome StorageThread::run_together(Jobs& jobs) {
    const bool joined = transaction_open_;
    if (!joined) {
        if (const auto begun = spool_->begin(); !begun) return failed(jobs, begun.error());
        transaction_open_ = true;
    }
    // Before the jobs: what this very transaction removes is not for it to collect.
    if (garbage_ > kGarbageMax) collect();
    for (const auto& job : jobs) job->run(*spool_);
    if (leave_open(jobs)) return Outcome::Known;
    const auto committed = commit();
    if (committed) return Outcome::Known;
    // One call's trouble, say no room for its content, is not the others'.
    const bool retry = jobs.size() > 1 || joined || spool_->made_room();
    if (retry && !spool_->is_broken()) return Outcome::Undone;
    return failed(jobs, committed.error());
}

void StorageThread::run_alone(Jobs jobs) {
    for (auto& job : jobs) {
        Jobs one;
        one.push_back(std::move(job));
        if (!ready()) {
            refuse(std::move(one), trouble_);
            continue;
        }
        Outcome outcome = run_together(one);
        // It had joined the transaction that an append before it left open, and fell with it; or
        // room was made for it, which is possible a few times only.
        while (outcome == Outcome::Undone) outcome = run_together(one);
        if (outcome == Outcome::Known) answer(std::move(one));
    }
}

StorageThread::Outcome StorageThread::failed(Jobs& jobs, const Error& error) {
    if (spool_->is_broken()) {
        trouble_.message = "queue store is broken and being reopened: " + error.message;
        unresolved_ = std::move(jobs);
        return Outcome::Unknown;
    }
    for (const auto& job : jobs) job->fail(error);
    return Outcome::Known;
}

bool StorageThread::leave_open(const Jobs& jobs) {
    for (const auto& job : jobs) {
        if (job->traits().uncommitted == 0) return false;
        uncommitted_ += job->traits().uncommitted;
    }
    return uncommitted_ <= kUncommittedMax;
}

Result<void> StorageThread::commit() {
    transaction_open_ = false;
    uncommitted_ = 0;
    auto done = spool_->commit_transaction();
    if (done) ++transactions_;
    return done;
}

/// One hop for the whole batch.
void StorageThread::answer(Jobs jobs) {
    for (const auto& job : jobs) {
        if (job->traits().leaves_garbage) ++garbage_;
    }
    wrote_ = true;
    asio::post(network_, [jobs = std::move(jobs), tell = on_due_] {
        bool due = false;
        for (const auto& job : jobs) {
            due = due || job->traits().makes_due;
            job->complete();
        }
        if (due && *tell) (*tell)();
    });
}

void StorageThread::refuse(Jobs jobs, const Error& error) {
    for (const auto& job : jobs) job->fail(error);
    asio::post(network_, [jobs = std::move(jobs)] {
        for (const auto& job : jobs) job->complete();
    });
}

/// What nobody waits for: a bounded step of it.
void StorageThread::tidy() {
    if (!ready()) return;
    if (!transaction_open_ && garbage_ > 0) {
        const auto begun = spool_->begin();
        transaction_open_ = begun.has_value();
        if (!begun) garbage_ = 0;
    }
    if (transaction_open_) {
        if (garbage_ > 0) collect();
        if (const auto done = commit(); !done) {
            complain(done.error());
            garbage_ = 0;
        }
    }
    wrote_ = garbage_ > 0;
    checkpoint(true);
}

void StorageThread::collect() {
    const auto more = spool_->collect_garbage();
    if (!more) complain(more.error());
    // After an error the next removed message makes it try again.
    garbage_ = more && *more ? std::max<std::size_t>(garbage_, 1) : 0;
}

void StorageThread::checkpoint(bool idle) {
    if (spool_->is_broken()) return;
    const auto done = spool_->checkpoint(idle);
    if (!done) {
        complain(done.error());
    } else {
        complained_ = false;
    }
}

/// A store that breaks and works again at the first try is nobody's concern.
void StorageThread::watch_health() {
    std::optional<Error> now;
    if (!spool_->is_broken()) {
        now = spool_->shortage();
    } else if (reopen_delay_ > kReopenMin) {
        now = trouble_;
    } else {
        return;
    }
    const auto ailment = now ? std::optional(now->code) : std::nullopt;
    if (std::exchange(ailment_, ailment) == ailment) return;
    asio::post(network_, [now = std::move(now), tell = on_health_] {
        if (*tell) (*tell)(now);
    });
}

void StorageThread::complain(const Error& error) {
    if (!std::exchange(complained_, true)) log_.warning("queue store: " + error.message);
}

}  // namespace postrider::queue
