// Real delays on the event loop, and signals over any source of delays.
#pragma once

#include <boost/asio/any_io_executor.hpp>

#include "net/event.h"
#include "net/timers.h"

namespace postrider::net {

class AsioTimers final : public Timers {
public:
    AsioTimers(boost::asio::any_io_executor executor, const Clock& clock)
        : executor_(std::move(executor)), clock_(&clock) {}

    const Clock& clock() const override { return *clock_; }
    Awaitable<Result<void>> sleep_until(MonotonicTime) override;

private:
    boost::asio::any_io_executor executor_;
    const Clock* clock_;
};

/// A Signal whose deadlines are those of `timers`. One waiter at a time.
class LocalSignal final : public Signal {
public:
    LocalSignal(boost::asio::any_io_executor, Timers&);

    void notify() override;
    Awaitable<Result<void>> wait(MonotonicTime deadline) override;

private:
    Timers* timers_;
    Event event_;
};

}  // namespace postrider::net
