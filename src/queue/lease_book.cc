#include "queue/lease_book.h"

namespace postrider::queue {

std::optional<LeaseBook::Record> LeaseBook::find(std::uint64_t number) const {
    const auto found = records_.find(number);
    if (found == records_.end()) return std::nullopt;
    return found->second;
}

void LeaseBook::set(std::uint64_t number, std::optional<Record> record) {
    remember(number);
    put_suspect(number, 0);
    put(number, record);
}

void LeaseBook::suspect(std::uint64_t number, std::uint32_t crashes) {
    remember(number);
    put_suspect(number, crashes);
}

void LeaseBook::undo(Mark mark) {
    while (changes_.size() > mark) {
        const Change change = changes_.back();
        changes_.pop_back();
        put(change.number, change.before);
        put_suspect(change.number, change.crashes_before);
    }
}

std::vector<std::uint64_t> LeaseBook::changed() const {
    std::vector<std::uint64_t> numbers;
    numbers.reserve(changes_.size());
    for (const Change& change : changes_) numbers.push_back(change.number);
    return numbers;
}

std::vector<std::uint64_t> LeaseBook::leased() const {
    std::vector<std::uint64_t> numbers;
    numbers.reserve(records_.size());
    for (const auto& [number, record] : records_) numbers.push_back(number);
    return numbers;
}

void LeaseBook::remember(std::uint64_t number) {
    const auto known = crashes_.find(number);
    changes_.push_back({number, find(number), known == crashes_.end() ? 0 : known->second});
}

void LeaseBook::put(std::uint64_t number, const std::optional<Record>& record) {
    const auto found = records_.find(number);
    if (found != records_.end()) {
        if (!found->second.removed) --counts_[static_cast<std::size_t>(found->second.place)];
        if (found->second.crashes > 0) --suspects_leased_;
        records_.erase(found);
    }
    if (!record) return;
    if (!record->removed) ++counts_[static_cast<std::size_t>(record->place)];
    if (record->crashes > 0) ++suspects_leased_;
    records_.emplace(number, *record);
}

void LeaseBook::put_suspect(std::uint64_t number, std::uint32_t crashes) {
    if (const auto known = crashes_.find(number); known != crashes_.end()) {
        suspects_.erase({known->second, number});
        crashes_.erase(known);
    }
    if (crashes == 0) return;
    crashes_.emplace(number, crashes);
    suspects_.emplace(crashes, number);
}

}  // namespace postrider::queue
