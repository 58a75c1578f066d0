// Places for sessions: how many there are, and who gives one up when none is left.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <unordered_set>

#include "core/clock.h"

namespace postrider::intake {

/// Why a session is asked to end before its client wants to.
enum class Farewell : std::uint8_t {
    Slow,      ///< Its place is needed, and no client is slower. At once, whatever it is doing.
    Retiring,  ///< Another process takes new clients. As soon as there is no transaction.
};

class Slots;

/// One session's place, and how well its client gets on. A client lags by the time that was spent
/// waiting for it, less what its bytes may take at the lowest rate; a message clears the account.
/// Time that the queue takes is not the client's.
class Slot {
public:
    /// A place that is counted nowhere: a file from maildrop, a test.
    Slot() = default;
    /// `key`: an address or a uid, of which there may be few. The slots must outlive it.
    Slot(Slots& slots, std::string key);
    ~Slot();
    Slot(const Slot&) = delete;
    Slot& operator=(const Slot&) = delete;

    void wait_begins(MonotonicTime now) { waiting_since_ = now; }
    void wait_ended(MonotonicTime now, std::size_t bytes);
    void message_done() { lag_ = Duration::zero(); }
    Duration lag(MonotonicTime now) const;

    /// Called from the event loop, between two turns of the session. After Slow the place is
    /// another's already.
    void on_farewell(std::function<void(Farewell)> tell);

private:
    friend class Slots;

    Slots* slots_ = nullptr;
    std::string key_;
    std::function<void(Farewell)> tell_;
    std::optional<MonotonicTime> waiting_since_;
    Duration lag_ = Duration::zero();
};

/// All sessions behind one kind of door.
class Slots {
public:
    /// A client that lags less is left alone: it might just be far away.
    static constexpr Duration kLagMin = std::chrono::seconds{1};

    /// `rate_min`: bytes a second, 0 if any is slow enough.
    Slots(std::size_t limit, std::uint64_t rate_min) : limit_(limit), rate_min_(rate_min) {}

    std::size_t size() const { return taken_.size(); }
    std::size_t count_of(const std::string& key) const;

    /// Whether one more may come in. When all places are taken, the client that lags most loses its
    /// own; false if none lags by kLagMin.
    bool make_room(MonotonicTime now);
    /// Asks the client that lags most to go, if it does by `lag_min`.
    bool evict_slowest(MonotonicTime now, Duration lag_min);
    /// Asks everybody to go, now or after the transaction.
    void retire();
    bool is_retiring() const { return retiring_; }

private:
    friend class Slot;
    void vacate(Slot& slot);

    std::size_t limit_;
    std::uint64_t rate_min_;
    std::unordered_set<Slot*> taken_;
    std::map<std::string, std::size_t> counts_;  // By key; none with zero.
    bool retiring_ = false;
};

}  // namespace postrider::intake
