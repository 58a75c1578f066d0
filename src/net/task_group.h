// Who spawns, waits: the running tasks of one owner.
#pragma once

#include <cstddef>
#include <memory>
#include <string>

#include <boost/asio/any_io_executor.hpp>

#include "core/log.h"
#include "net/stream.h"

namespace postrider::net {

/// Coroutines that run side by side on the network thread. An exception that escapes from one is
/// logged with its name and ends that task alone. Cancellation is an outcome inside a task (our
/// waits return Cancelled), never an exception.
class TaskGroup {
public:
    TaskGroup(boost::asio::any_io_executor, Log);
    /// Cancels what still runs, without waiting: join() first, or let the tasks own what they use.
    ~TaskGroup();
    TaskGroup(const TaskGroup&) = delete;
    TaskGroup& operator=(const TaskGroup&) = delete;

    /// Starts a task, from the event loop. It must hold its parameters by value.
    void spawn(Awaitable<void> task, std::string name);
    /// The same for a task on which others rely, or whose end leaves something behind: what escapes
    /// from it ends the process, with EX_SOFTWARE. Better a fresh one than one that is deaf.
    void spawn_vital(Awaitable<void> task, std::string name);
    /// Asks every task to end: all their waits, now and later, end with Cancelled.
    void cancel();
    /// Waits until no task is left; Timeout if some still run at the deadline, Cancelled if the
    /// waiting task is itself cancelled.
    Awaitable<Result<void>> join(MonotonicTime deadline);

    std::size_t size() const;
    bool empty() const { return size() == 0; }

private:
    struct State;
    std::shared_ptr<State> state_;  ///< shared with the completion of each task
};

}  // namespace postrider::net
