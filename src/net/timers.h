// Waiting, as a parameter: real timers in the daemon, hand-turned ones in tests and simulations.
#pragma once

#include <functional>

#include "core/clock.h"
#include "net/stream.h"

namespace postrider::net {

/// The network thread's clock and its only source of delays.
class Timers {
public:
    virtual ~Timers() = default;
    virtual const Clock& clock() const = 0;
    MonotonicTime now() const { return clock().monotonic(); }

    /// Waits until then; Cancelled if the coroutine's cancellation slot fires first.
    virtual Awaitable<Result<void>> sleep_until(MonotonicTime) = 0;
};

/// "Something happened, look again": any number of notify() calls before a wait count as one.
/// Belongs to the network thread.
class Signal {
public:
    virtual ~Signal() = default;
    virtual void notify() = 0;
    /// Waits for a notify(), or until the deadline (Timeout).
    virtual Awaitable<Result<void>> wait(MonotonicTime deadline) = 0;
};

}  // namespace postrider::net
