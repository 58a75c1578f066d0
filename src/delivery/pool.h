// Warm connections: sessions between transactions.
#pragma once

#include <cstddef>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "core/clock.h"
#include "delivery/options.h"
#include "delivery/session.h"

namespace postrider::delivery {

/// Keeps idle sessions, by key: next hops and account. Bounded in number, idle time, age and uses.
/// Does not wait and does not connect.
class Pool {
public:
    /// Both must outlive it.
    Pool(const PoolOptions& options, const Clock& clock) : options_(options), clock_(clock) {}

    /// The session idle for the shortest time that is still alive and young; null if none is.
    std::unique_ptr<Session> take(const std::string& key);
    /// Keeps it; returns it if it is not worth keeping, or another one that had to make room.
    std::unique_ptr<Session> give(const std::string& key, std::unique_ptr<Session>);
    /// Takes out the sessions whose idle time is over, or all.
    std::vector<std::unique_ptr<Session>> take_expired();
    std::vector<std::unique_ptr<Session>> take_all();
    /// When take_expired() has something to do next; MonotonicTime::max() if nothing is idle.
    MonotonicTime next_expiry() const;

    /// Idle sessions whose key begins with `next_hops`.
    std::size_t idle(std::string_view next_hops) const;
    std::size_t idle() const { return idle_.size(); }

private:
    struct Idle {
        std::string key;
        std::unique_ptr<Session> session;
        MonotonicTime since;
    };
    bool is_worn_out(const Session&) const;

    const PoolOptions& options_;
    const Clock& clock_;
    std::vector<Idle> idle_;  // Oldest first. A handful: one smarthost has few sessions.
};

}  // namespace postrider::delivery
