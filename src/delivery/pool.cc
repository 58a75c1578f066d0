#include "delivery/pool.h"

#include <algorithm>

namespace postrider::delivery {

bool Pool::is_worn_out(const Session& session) const {
    if (!session.channel->is_open()) return true;
    if (options_.uses_max > 0 && session.uses >= options_.uses_max) return true;
    return clock_.monotonic() - session.opened >= options_.reuse_max;
}

std::unique_ptr<Session> Pool::take(const std::string& key) {
    const MonotonicTime now = clock_.monotonic();
    for (std::size_t i = idle_.size(); i-- > 0;) {
        if (idle_[i].key != key) continue;
        std::unique_ptr<Session> session = std::move(idle_[i].session);
        const bool usable = !is_worn_out(*session) && now - idle_[i].since < options_.idle_max;
        idle_.erase(idle_.begin() + static_cast<std::ptrdiff_t>(i));
        if (usable) return session;
    }
    return nullptr;
}

std::unique_ptr<Session> Pool::give(const std::string& key, std::unique_ptr<Session> session) {
    if (options_.idle_max.count() == 0 || options_.idle_count_max == 0 || is_worn_out(*session)) {
        return session;
    }
    std::unique_ptr<Session> surplus;
    if (idle_.size() >= options_.idle_count_max) {
        surplus = std::move(idle_.front().session);
        idle_.erase(idle_.begin());
    }
    idle_.push_back(Idle{key, std::move(session), clock_.monotonic()});
    return surplus;
}

std::vector<std::unique_ptr<Session>> Pool::take_expired() {
    std::vector<std::unique_ptr<Session>> expired;
    const MonotonicTime now = clock_.monotonic();
    for (Idle& one : idle_) {
        if (now - one.since >= options_.idle_max || is_worn_out(*one.session)) {
            expired.push_back(std::move(one.session));
        }
    }
    std::erase_if(idle_, [](const Idle& one) { return !one.session; });
    return expired;
}

std::vector<std::unique_ptr<Session>> Pool::take_all() {
    std::vector<std::unique_ptr<Session>> all;
    for (Idle& one : idle_) all.push_back(std::move(one.session));
    idle_.clear();
    return all;
}

MonotonicTime Pool::next_expiry() const {
    return idle_.empty() ? MonotonicTime::max() : idle_.front().since + options_.idle_max;
}

std::size_t Pool::idle(std::string_view next_hops) const {
    const std::string prefix = std::string(next_hops) + '\n';
    return static_cast<std::size_t>(std::count_if(
        idle_.begin(), idle_.end(), [&](const Idle& one) { return one.key.starts_with(prefix); }));
}

}  // namespace postrider::delivery
