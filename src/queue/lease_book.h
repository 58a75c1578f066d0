// Who is being attempted right now, and who is under suspicion. Kept in memory only.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <set>
#include <unordered_map>
#include <utility>
#include <vector>

#include "queue/schema.h"

namespace postrider::queue {

/// The leases given and not yet ended, and the suspects: messages that were leased when an earlier
/// process died, and are not leased now. Every change can be taken back, so that the book always
/// agrees with the database when a call or a transaction is undone.
class LeaseBook {
public:
    struct Record {
        Place place = Place::New;   ///< Of the leased message, as the database has it.
        bool removed = false;       ///< By an operator, while it was leased.
        bool damaged = false;       ///< Nobody attempts it: it only must not be leased again.
        std::uint32_t crashes = 0;  ///< Of a suspect.
        std::uint64_t content_length = 0;
    };
    using Mark = std::size_t;
    /// Fewest crashes first, so that suspicion spreads before it hits one message again.
    using Suspects = std::set<std::pair<std::uint32_t, std::uint64_t>>;

    std::optional<Record> find(std::uint64_t number) const;
    bool holds(std::uint64_t number) const { return records_.contains(number); }
    std::size_t size() const { return records_.size(); }
    /// Leased messages that stand in `place` and are not removed.
    std::uint64_t count(Place place) const { return counts_[static_cast<std::size_t>(place)]; }

    const Suspects& suspects() const { return suspects_; }
    bool is_suspect(std::uint64_t number) const { return crashes_.contains(number); }
    std::uint32_t crashes(std::uint64_t suspect) const {
        const auto known = crashes_.find(suspect);
        return known == crashes_.end() ? 0 : known->second;
    }
    bool suspect_is_leased() const { return suspects_leased_ > 0; }

    /// Adds, changes or, with nothing, ends a lease. Leasing a suspect makes it a record.
    void set(std::uint64_t number, std::optional<Record>);
    /// Suspects a message, or, with 0 crashes, clears it.
    void suspect(std::uint64_t number, std::uint32_t crashes);

    Mark mark() const { return changes_.size(); }
    /// Takes back every change since the mark.
    void undo(Mark);
    /// Changes so far can no longer be taken back.
    void keep() { changes_.clear(); }
    /// Messages changed since keep(), some of them several times.
    std::vector<std::uint64_t> changed() const;
    std::vector<std::uint64_t> leased() const;

private:
    struct Change {
        std::uint64_t number;
        std::optional<Record> before;
        std::uint32_t crashes_before;
    };
    void remember(std::uint64_t number);
    void put(std::uint64_t number, const std::optional<Record>&);
    void put_suspect(std::uint64_t number, std::uint32_t crashes);

    std::unordered_map<std::uint64_t, Record> records_;
    std::array<std::uint64_t, kPlaceCount> counts_{};
    std::unordered_map<std::uint64_t, std::uint32_t> crashes_;  ///< Of each suspect.
    Suspects suspects_;
    std::size_t suspects_leased_ = 0;
    std::vector<Change> changes_;
};

}  // namespace postrider::queue
