#include "net/manual_timers.h"

#include <algorithm>

#include "net/until.h"

namespace postrider::net {

Awaitable<Result<void>> ManualTimers::sleep_until(MonotonicTime when) {
    if (when <= now()) co_return Result<void>();
    const auto sleeper = sleepers_.emplace(sleepers_.end(), when, executor_);
    auto woken = co_await sleeper->event.wait(kNever);
    sleepers_.erase(sleeper);
    co_return woken;
}

void ManualTimers::advance(Duration by) {
    clock_.advance(by);
    for (Sleeper& sleeper : sleepers_) {
        if (sleeper.due <= now()) sleeper.event.set();
    }
}

MonotonicTime ManualTimers::next_due() const {
    MonotonicTime next = MonotonicTime::max();
    for (const Sleeper& sleeper : sleepers_) next = std::min(next, sleeper.due);
    return next;
}

}  // namespace postrider::net
