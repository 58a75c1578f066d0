// Time that stands still until the simulation moves it, for everything in this program.
#pragma once

#include "core/clock.h"

/// The event loop asks three things of the system: std::chrono::steady_clock, timerfd_settime() and
/// epoll. This program brings its own of the first two, so that the daemon's code runs unchanged
/// under virtual time: nothing in it can wait for real time, not even by mistake. The calendar of
/// the system (std::chrono::system_clock) ends the simulation (no_calendar.cc).
namespace postrider::simulation::virtual_time {

MonotonicTime now();
/// Never backwards. Timers that become due fire when their event loop is polled next.
void advance_to(MonotonicTime);
/// When an event loop wants to be woken next; MonotonicTime::max() if none does.
MonotonicTime next_timer();
/// To be called when event loops have been destroyed.
void forget_closed_timers();

}  // namespace postrider::simulation::virtual_time
