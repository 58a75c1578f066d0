// A flag on the network thread that one coroutine can wait for.
#pragma once

#include <cstdint>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/steady_timer.hpp>

#include "net/stream.h"

namespace postrider::net {

/// Stays set until reset. One waiter at a time; it must outlive its waiter.
class Event {
public:
    explicit Event(boost::asio::any_io_executor executor)
        : timer_(std::move(executor), MonotonicTime::max()) {}

    /// Wakes who waits, also when a reset() follows at once.
    void set();
    void reset() { set_ = false; }
    bool is_set() const { return set_; }
    /// Timeout or Cancelled if it is not set by then.
    Awaitable<Result<void>> wait(MonotonicTime deadline);

private:
    boost::asio::steady_timer timer_;  ///< cancelled to wake the waiter
    bool set_ = false;
    std::uint64_t times_ = 0;  ///< set() was called
};

}  // namespace postrider::net
