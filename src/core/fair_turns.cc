#include "core/fair_turns.h"

#include <algorithm>

namespace postrider {

std::int64_t FairTurns::place(const std::string& party) {
    if (next_.size() >= kPartiesMax && !next_.contains(party)) {
        std::erase_if(next_, [this](const auto& known) { return known.second <= served_; });
        if (next_.size() >= kPartiesMax) next_.clear();
    }
    std::int64_t& next = next_[party];
    const std::int64_t place = std::max(served_, next);
    next = place + kTurn;
    return place;
}

void FairTurns::serve(std::int64_t place) {
    served_ = std::max(served_, place);
}

}  // namespace postrider
