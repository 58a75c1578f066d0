#include "delivery/congestion.h"

#include <algorithm>

namespace postrider::delivery {

Congestion::Congestion(const ConcurrencyOptions& options)
    : options_(options), window_(std::clamp(options.initial, 1U, limit())) {}

unsigned Congestion::limit() const {
    const unsigned both = options_.limit == 0 ? options_.sessions_max
                                              : std::min(options_.limit, options_.sessions_max);
    return std::max(1U, both);
}

void Congestion::succeeded() {
    untried_ = false;
    failed_cohorts_ = 0;
    if (probing_) {
        probing_ = false;
        window_ = std::clamp(options_.initial, 1U, limit());
        return;
    }
    if (window_ >= limit()) return;
    successes_ += options_.positive_feedback;
    while (successes_ + options_.positive_feedback / 2 >= 1 && window_ < limit()) {
        ++window_;
        successes_ -= 1;
        failures_ = 0;
    }
}

bool Congestion::failed() {
    failed_cohorts_ += 1.0 / window_;
    // Sums of fractions miss a whole number by a hair.
    if (probing_ || failed_cohorts_ >= options_.failed_cohort_limit - 1e-9) {
        give_up();
        return true;
    }
    failures_ += options_.negative_feedback;
    while (failures_ + options_.negative_feedback / 2 >= 1 && window_ > 1) {
        --window_;
        failures_ -= 1;
        successes_ = 0;
    }
    return false;
}

void Congestion::give_up() {
    window_ = 1;
    probing_ = true;
    failed_cohorts_ = 0;
    successes_ = 0;
    failures_ = 0;
}

}  // namespace postrider::delivery
