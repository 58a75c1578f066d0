// Calls on the spool: gathered, run in one transaction, answered once that is durable.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/steady_timer.hpp>

#include "core/clock.h"
#include "core/log.h"
#include "queue/queue.h"
#include "queue/spool.h"

namespace postrider::queue {

/// What a call means to the batch it is in.
struct Traits {
    bool makes_due = false;       ///< Something may have become due.
    bool leaves_garbage = false;  ///< Content may have become useless.
    /// Bytes of a call that promises nothing yet, so that it need not wait for a sync: a piece that
    /// got lost is missed when its message is committed. 0 for calls that promise something.
    std::size_t uncommitted = 0;
    /// It may be lost without harm, and so waits a moment for a call that needs a sync, to share
    /// it.
    bool patient = false;
    /// Does not ask for what patient calls change, and so does not hurry them.
    bool indifferent = false;
};

/// One call on its way through the storage thread. Made, completed and destroyed on the network
/// thread.
class Job {
public:
    explicit Job(Traits traits) : traits_(traits) {}
    virtual ~Job() = default;
    /// May be run again, when its transaction did not hold.
    virtual void run(Spool&) = 0;
    virtual void fail(const Error&) = 0;
    /// Resumes the caller. Once.
    virtual void complete() = 0;
    const Traits& traits() const { return traits_; }

private:
    Traits traits_;
};

using Jobs = std::deque<std::unique_ptr<Job>>;

/// Group commit: while one batch is being synced the next one gathers, so that batches grow with
/// the load and the disk's slowness by themselves. Only patient calls wait for company, until the
/// next call of another kind (which is run behind them, and so sees what they change), until they
/// are many, or for kPatience.
///
/// A batch whose transaction has an unknown outcome (the spool is broken) is not answered at all
/// until the spool knows (R4); it is then answered as if nothing had happened, or refused. Other
/// calls are refused meanwhile. If it is still unknown at the end, its callers never hear: their
/// coroutines are destroyed, which is what a power cut would have told them.
class StorageThread : public std::enable_shared_from_this<StorageThread> {
public:
    StorageThread(std::unique_ptr<Spool>, boost::asio::any_io_executor network, const Clock&,
                  const Log&, Queue::Storage);
    void start();
    /// Finishes what waits. The jobs' coroutines go on in later turns of the network thread.
    void stop();

    void submit(std::unique_ptr<Job>);
    /// On the network thread, before the first job.
    void on_due(std::function<void()> tell) { *on_due_ = std::move(tell); }
    void on_health(std::function<void(const std::optional<Error>&)> tell) {
        *on_health_ = std::move(tell);
    }
    /// On the network thread: calls what on_due() was given.
    void tell_due() const {
        if (*on_due_) (*on_due_)();
    }
    std::uint64_t transaction_count() const { return transactions_; }

    static constexpr std::chrono::milliseconds kPatience{50};

private:
    enum class Outcome : std::uint8_t {
        Known,    ///< The jobs have their results.
        Undone,   ///< Nothing of them holds, and they are worth another try, each for itself.
        Unknown,  ///< The jobs are in `unresolved_`.
    };

    void work();
    void run_soon();
    void hurry();
    void hurry_later();
    void run(Jobs);
    Outcome run_together(Jobs&);
    void run_alone(Jobs);
    Outcome failed(Jobs&, const Error&);
    bool ready();
    void resolved(bool holds);
    void resolve_later();
    bool leave_open(const Jobs&);
    Result<void> commit();
    void answer(Jobs);
    void refuse(Jobs, const Error&);
    void tidy();
    void collect();
    void checkpoint(bool idle);
    void complain(const Error&);
    void watch_health();

    // Constant.
    const boost::asio::any_io_executor network_;
    const Clock& clock_;
    const Log log_;
    const Queue::Storage storage_;
    const std::shared_ptr<std::function<void()>> on_due_;
    const std::shared_ptr<std::function<void(const std::optional<Error>&)>> on_health_;

    // Of the storage thread; of the network thread when inline, and after stop().
    std::unique_ptr<Spool> spool_;  ///< None after stop().
    Jobs unresolved_;  ///< Not empty only while the spool is broken; at most one batch.
    Error trouble_{ErrorCode::Unavailable, "queue store is broken and being reopened"};
    bool transaction_open_ = false;  ///< Left open after calls that promise nothing.
    std::size_t uncommitted_ = 0;
    std::size_t garbage_ = 1;  ///< Unknown at the start.
    bool wrote_ = true;
    bool complained_ = false;
    std::optional<ErrorCode> ailment_;  ///< What on_health() has been told.
    bool rested_ = true;  ///< Nothing has been done since the spool gave its memory back.
    Duration reopen_delay_;
    MonotonicTime reopen_at_{};

    std::atomic<std::uint64_t> transactions_{0};

    // Guarded by mutex_.
    std::mutex mutex_;
    std::condition_variable changed_;
    Jobs waiting_;
    Jobs patient_;
    MonotonicTime patience_ends_{};  ///< While patient_ is not empty.
    bool stopping_ = false;
    bool turn_posted_ = false;  ///< Inline only.

    boost::asio::steady_timer reopen_timer_;    ///< Inline only.
    boost::asio::steady_timer patience_timer_;  ///< Inline only.
    std::thread thread_;
};

}  // namespace postrider::queue
