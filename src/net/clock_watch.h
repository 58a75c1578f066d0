// Notices that the machine slept, or that somebody set the clock.
#pragma once

#include <functional>
#include <memory>

#include <boost/asio/any_io_executor.hpp>

#include "core/clock.h"
#include "net/stream.h"

namespace postrider::net {

/// How long this machine has been suspended since it booted: monotonic time stands still then.
Duration time_asleep();

/// The kernel wakes it after a suspend and when the calendar jumps: nothing polls.
class ClockWatch {
public:
    /// `asleep` is for tests.
    static Result<std::unique_ptr<ClockWatch>> open(boost::asio::any_io_executor,
                                                    std::function<Duration()> asleep = time_asleep);
    ~ClockWatch();

    /// Waits for a jump and says for how long the machine was asleep: zero when only the calendar
    /// was set. Error when cancelled.
    Awaitable<Result<Duration>> next();

private:
    class Implementation;
    explicit ClockWatch(std::unique_ptr<Implementation>);
    std::unique_ptr<Implementation> implementation_;
};

}  // namespace postrider::net
