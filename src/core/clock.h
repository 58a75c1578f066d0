// Time as a parameter: nobody reads the clock directly.
#pragma once

#include <chrono>

namespace postrider {

/// Calendar time, for what people see and what is stored; it may jump.
using WallTime = std::chrono::sys_time<std::chrono::microseconds>;
/// Time that only goes forward, for waiting and measuring.
using MonotonicTime = std::chrono::steady_clock::time_point;
using Duration = std::chrono::microseconds;

class Clock {
public:
    virtual ~Clock() = default;
    virtual WallTime now() const = 0;
    virtual MonotonicTime monotonic() const = 0;
};

class SystemClock final : public Clock {
public:
    WallTime now() const override;
    MonotonicTime monotonic() const override;
};

/// A clock that stands still until a test moves it. Starts at 2026-11-22 14:00:00 UTC.
class ManualClock final : public Clock {
public:
    WallTime now() const override { return wall_; }
    MonotonicTime monotonic() const override { return monotonic_; }
    void advance(Duration by) {
        wall_ += by;
        monotonic_ += by;
    }
    /// Moves the calendar alone, as an operator or a time service does.
    void set_wall(WallTime to) { wall_ = to; }

private:
    WallTime wall_{std::chrono::seconds{1795356000}};
    MonotonicTime monotonic_{std::chrono::hours{1}};
};

}  // namespace postrider
