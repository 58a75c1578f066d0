// How long mail has waited, whatever somebody did to the calendar meanwhile.
#pragma once

#include <deque>

#include "core/clock.h"

namespace postrider::delivery {

/// Notices that the calendar was set forward, by comparing it with the clock that only goes on, and
/// leaves what was gained out of the ages of what had arrived before: nothing expires because a
/// clock was wrong (RS5). What happened while no process ran is not known; time asleep counts.
class Ages {
public:
    /// The clock must outlive it.
    explicit Ages(const Clock& clock);

    /// The time of day, less what the calendar has gained since `arrival` without time passing.
    WallTime now_for(WallTime arrival);

    /// Less is a time service at work.
    static constexpr std::chrono::minutes kJumpMin{10};
    /// Jumps remembered; beyond that the oldest count with the next, as one that came earlier.
    static constexpr std::size_t kJumpsMax = 16;

private:
    struct Jump {
        WallTime from;
        Duration by;
    };

    void look();
    Duration offset() const;

    const Clock& clock_;
    Duration offset_;  ///< Of the calendar to the monotonic clock and sleep, when last looked.
    std::deque<Jump> jumps_;
};

}  // namespace postrider::delivery
