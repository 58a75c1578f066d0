#include "delivery/ages.h"

#include <algorithm>
#include <utility>

#include "net/clock_watch.h"

namespace postrider::delivery {

Ages::Ages(const Clock& clock) : Ages(clock, net::time_asleep) {}

Ages::Ages(const Clock& clock, std::function<Duration()> asleep)
    : clock_(clock),
      asleep_(std::move(asleep)),
      made_(clock.now()),
      made_at_(running()),
      offset_(offset()) {}

Duration Ages::running() const {
    return std::chrono::duration_cast<Duration>(clock_.monotonic().time_since_epoch()) + asleep_();
}

Duration Ages::offset() const {
    return clock_.now().time_since_epoch() - running();
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
    const Duration watched = running() - made_at_;
    if (arrival < made_ && watched < kDoubt) return std::min(clock_.now(), arrival + watched);
    WallTime now = clock_.now();
    for (const Jump& jump : jumps_) {
        if (arrival <= jump.from) now -= jump.by;
    }
    return now;
}

}  // namespace postrider::delivery
