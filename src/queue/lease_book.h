// Who is being attempted right now. Kept in memory only.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <unordered_map>
#include <vector>

#include "queue/schema.h"

namespace postrider::queue {

/// The leases given and not yet ended. Every change can be taken back, so that the book always
/// agrees with the database when a call or a transaction is undone.
class LeaseBook {
public:
    struct Record {
        Place place = Place::New;  ///< Of the leased message, as the database has it.
        bool removed = false;      ///< By an operator, while it was leased.
    };
    using Mark = std::size_t;

    std::optional<Record> find(std::uint64_t number) const;
    bool holds(std::uint64_t number) const { return records_.contains(number); }
    std::size_t size() const { return records_.size(); }
    /// Leased messages that stand in `place` and are not removed.
    std::uint64_t count(Place place) const { return counts_[static_cast<std::size_t>(place)]; }

    /// Adds, changes or, with nothing, ends a lease.
    void set(std::uint64_t number, std::optional<Record>);

    Mark mark() const { return changes_.size(); }
    /// Takes back every change since the mark.
    void undo(Mark);
    /// Changes so far can no longer be taken back.
    void keep() { changes_.clear(); }

private:
    struct Change {
        std::uint64_t number;
        std::optional<Record> before;
    };
    void put(std::uint64_t number, const std::optional<Record>&);

    std::unordered_map<std::uint64_t, Record> records_;
    std::array<std::uint64_t, kPlaceCount> counts_{};
    std::vector<Change> changes_;
};

}  // namespace postrider::queue
