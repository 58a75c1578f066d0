#include "delivery/ages.h"

#include "net/clock_watch.h"

namespace postrider::delivery {

Ages::Ages(const Clock& clock) : clock_(clock), offset_(offset()) {}

Duration Ages::offset() const {
    const auto running =
        std::chrono::duration_cast<Duration>(clock_.monotonic().time_since_epoch());
    return clock_.now().time_since_epoch() - running - net::time_asleep();
}

void Ages::look() {
    const Duration now = offset();
    const Duration gained = now - offset_;
    offset_ = now;
    if (gained < kJumpMin) return;
    jumps_.push_back({clock_.now() - gained, gained});
    if (jumps_.size() <= kJumpsMax) return;
    jumps_[1].by += jumps_[0].by;
    jumps_.pop_front();
}

WallTime Ages::now_for(WallTime arrival) {
    look();
    WallTime now = clock_.now();
    for (const Jump& jump : jumps_) {
        if (arrival <= jump.from) now -= jump.by;
    }
    return now;
}

}  // namespace postrider::delivery
