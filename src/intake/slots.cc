#include "intake/slots.h"

#include <algorithm>
#include <utility>
#include <vector>

namespace postrider::intake {

Slot::Slot(Slots& slots, std::string key) : slots_(&slots), key_(std::move(key)) {
    slots.taken_.insert(this);
    ++slots.counts_[key_];
}

Slot::~Slot() {
    if (slots_ != nullptr) slots_->vacate(*this);
}

void Slot::wait_ended(MonotonicTime now, std::size_t bytes) {
    lag_ = lag(now);
    waiting_since_.reset();
    if (slots_ == nullptr || slots_->rate_min_ == 0) return;
    const auto allowed = std::chrono::nanoseconds(std::chrono::seconds(1)) * bytes /
                         static_cast<std::chrono::nanoseconds::rep>(slots_->rate_min_);
    lag_ -= std::min<Duration>(lag_, std::chrono::duration_cast<Duration>(allowed));
}

Duration Slot::lag(MonotonicTime now) const {
    if (!waiting_since_) return lag_;
    return lag_ + std::chrono::duration_cast<Duration>(now - *waiting_since_);
}

void Slot::on_farewell(std::function<void(Farewell)> tell) {
    tell_ = std::move(tell);
    if (tell_ && slots_ != nullptr && slots_->retiring_) tell_(Farewell::Retiring);
}

std::size_t Slots::count_of(const std::string& key) const {
    const auto found = counts_.find(key);
    return found == counts_.end() ? 0 : found->second;
}

bool Slots::make_room(MonotonicTime now) {
    return taken_.size() < limit_ || evict_slowest(now, kLagMin);
}

bool Slots::evict_slowest(MonotonicTime now, Duration lag_min) {
    Slot* slowest = nullptr;
    Duration most = lag_min;
    for (Slot* slot : taken_) {
        // Whoever waits for us, not we for it, has nothing to answer for at this moment.
        if (!slot->waiting_since_ || !slot->tell_ || slot->lag(now) < most) continue;
        slowest = slot;
        most = slot->lag(now);
    }
    if (slowest == nullptr) return false;
    const auto tell = std::exchange(slowest->tell_, {});
    vacate(*slowest);
    tell(Farewell::Slow);
    return true;
}

void Slots::retire() {
    retiring_ = true;
    // A copy: a session may end at once.
    const std::vector<Slot*> all(taken_.begin(), taken_.end());
    for (Slot* slot : all) {
        if (taken_.contains(slot) && slot->tell_) slot->tell_(Farewell::Retiring);
    }
}

void Slots::vacate(Slot& slot) {
    taken_.erase(&slot);
    const auto count = counts_.find(slot.key_);
    if (--count->second == 0) counts_.erase(count);
    slot.slots_ = nullptr;
}

}  // namespace postrider::intake
