#include "queue/lease_book.h"

namespace postrider::queue {

std::optional<LeaseBook::Record> LeaseBook::find(std::uint64_t number) const {
    const auto found = records_.find(number);
    if (found == records_.end()) return std::nullopt;
    return found->second;
}

void LeaseBook::set(std::uint64_t number, std::optional<Record> record) {
    changes_.push_back({number, find(number)});
    put(number, record);
}

void LeaseBook::undo(Mark mark) {
    while (changes_.size() > mark) {
        const Change change = changes_.back();
        changes_.pop_back();
        put(change.number, change.before);
    }
}

void LeaseBook::put(std::uint64_t number, const std::optional<Record>& record) {
    const auto found = records_.find(number);
    if (found != records_.end()) {
        if (!found->second.removed) --counts_[static_cast<std::size_t>(found->second.place)];
        records_.erase(found);
    }
    if (!record) return;
    if (!record->removed) ++counts_[static_cast<std::size_t>(record->place)];
    records_.emplace(number, *record);
}

}  // namespace postrider::queue
