#include "delivery/congestion.h"

#include <algorithm>

namespace postrider::delivery {

Congestion::Congestion(const ConcurrencyOptions& concurrency, const RetryOptions& retry,
                       WallTime now)
    : concurrency_(concurrency),
      retry_(retry),
      since_(now),
      next_attempt_(now),
      window_(std::clamp(concurrency.initial, 1U, limit())) {}

unsigned Congestion::limit() const {
    const unsigned both = concurrency_.limit == 0
                              ? concurrency_.sessions_max
                              : std::min(concurrency_.limit, concurrency_.sessions_max);
    return std::max(1U, both);
}

void Congestion::probe(WallTime now) {
    state_ = State::Ready;
    since_ = now;
    window_ = 1;
    probing_ = true;
    failed_cohorts_ = 0;
    successes_ = 0;
    failures_ = 0;
}

bool Congestion::admits(WallTime now) {
    return suspended(now) == nullptr && running_ < (untried_ ? 1 : window_);
}

const mail::Disposition* Congestion::suspended(WallTime now) {
    // A calendar set back to before it began must not prolong it.
    const bool over = now >= next_attempt_ || now < since_;
    if (state_ != State::Ready && over) probe(now);
    return state_ == State::Ready ? nullptr : &reason_;
}

bool Congestion::succeeded(WallTime now) {
    untried_ = false;
    const bool over = in_account_trouble_;
    in_account_trouble_ = false;
    pause_ = std::chrono::seconds(0);
    failed_cohorts_ = 0;
    if (state_ != State::Ready || probing_) {
        state_ = State::Ready;
        since_ = now;
        probing_ = false;
        window_ = std::clamp(concurrency_.initial, 1U, limit());
        return over;
    }
    if (window_ >= limit()) return over;
    successes_ += concurrency_.positive_feedback;
    while (successes_ + concurrency_.positive_feedback / 2 >= 1 && window_ < limit()) {
        ++window_;
        successes_ -= 1;
        failures_ = 0;
    }
    return over;
}

bool Congestion::failed(const mail::Disposition& reason, WallTime now) {
    if (state_ != State::Ready) return false;
    failed_cohorts_ += 1.0 / window_;
    // Sums of fractions miss a whole number by a hair.
    if (probing_ || failed_cohorts_ >= concurrency_.failed_cohort_limit - 1e-9) {
        state_ = State::Suspended;
        reason_ = reason;
        since_ = now;
        next_attempt_ = now + retry_.minimal_backoff;
        return true;
    }
    failures_ += concurrency_.negative_feedback;
    while (failures_ + concurrency_.negative_feedback / 2 >= 1 && window_ > 1) {
        --window_;
        failures_ -= 1;
        successes_ = 0;
    }
    return false;
}

bool Congestion::pause(const mail::Disposition& reason, WallTime now) {
    // Sessions that were under way when it began tell the same story once more.
    if (state_ == State::Paused) return false;
    const bool is_new = !in_account_trouble_;
    pause_ = pause_.count() == 0 ? retry_.account_pause_min
                                 : std::min(pause_ * 2, retry_.account_pause_max);
    in_account_trouble_ = true;
    state_ = State::Paused;
    reason_ = reason;
    since_ = now;
    next_attempt_ = now + pause_;
    return is_new;
}

void Congestion::end_suspension(WallTime now) {
    if (state_ == State::Suspended) probe(now);
}

void Congestion::flush(WallTime now) {
    if (state_ == State::Ready) return;
    next_attempt_ = now;
    pause_ = std::chrono::seconds(0);
    probe(now);
}

}  // namespace postrider::delivery
