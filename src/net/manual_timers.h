// Delays that end when a test turns the clock.
#pragma once

#include <list>

#include <boost/asio/any_io_executor.hpp>

#include "net/event.h"
#include "net/timers.h"

namespace postrider::net {

/// Timers over a ManualClock. Coroutines that sleep run on when advance() has passed their time and
/// the event loop is run.
class ManualTimers final : public Timers {
public:
    explicit ManualTimers(boost::asio::any_io_executor executor) : executor_(std::move(executor)) {}

    const Clock& clock() const override { return clock_; }
    ManualClock& manual_clock() { return clock_; }
    Awaitable<Result<void>> sleep_until(MonotonicTime) override;

    /// Moves the clock and wakes whoever is due.
    void advance(Duration by);
    /// How many coroutines sleep.
    std::size_t sleepers() const { return sleepers_.size(); }
    /// When the next one is due; MonotonicTime::max() if none sleeps.
    MonotonicTime next_due() const;

private:
    struct Sleeper {
        Sleeper(MonotonicTime when, const boost::asio::any_io_executor& executor)
            : due(when), event(executor) {}

        MonotonicTime due;
        Event event;
    };

    boost::asio::any_io_executor executor_;
    ManualClock clock_;
    std::list<Sleeper> sleepers_;
};

}  // namespace postrider::net
