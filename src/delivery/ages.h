// How long mail has waited, whatever somebody did to the calendar meanwhile.
#pragma once

#include <deque>
#include <functional>

#include "core/clock.h"

namespace postrider::delivery {

/// Notices that the calendar was set forward, by comparing it with the clock that only goes on, and
/// leaves what was gained out of the ages of what had arrived before: nothing expires because a
/// clock was wrong (RS5). Time asleep counts. How long it was before this was made nobody knows but
/// the calendar, which may be wrong just then, a machine having started: what had arrived before
/// that is taken to be as old as this, for ten minutes.
///
/// A copy knows what the original knew.
class Ages {
public:
    /// The clock must outlive it, and its copies.
    explicit Ages(const Clock& clock);
    /// For tests: how long the machine has been asleep, for net::time_asleep().
    Ages(const Clock& clock, std::function<Duration()> asleep);

    /// The time of day, less what the calendar has gained since `arrival` without time passing.
    WallTime now_for(WallTime arrival);
    /// Notices a jump: at the latest before anything arrives that now_for() will be asked of.
    void look();

    /// Until then a time service has set the calendar right, if there is a network; without one
    /// nothing expires.
    static constexpr std::chrono::minutes kDoubt{10};

    /// Less is a time service at work.
    static constexpr std::chrono::minutes kJumpMin{10};
    /// Jumps remembered; beyond that the oldest count with the next, as one that came earlier.
    static constexpr std::size_t kJumpsMax = 16;

private:
    struct Jump {
        WallTime from;
        Duration by;
    };

    /// On a clock that goes on while the machine sleeps.
    Duration running() const;
    Duration offset() const;

    const Clock& clock_;
    std::function<Duration()> asleep_;
    WallTime made_;
    Duration made_at_;
    Duration offset_;  ///< Of the calendar to the monotonic clock and sleep, when last looked.
    std::deque<Jump> jumps_;
};

}  // namespace postrider::delivery
