#include "queue/backoff.h"

#include <algorithm>

namespace postrider::queue {

WallTime next_attempt(WallTime arrival, WallTime now, const Backoff& backoff) {
    const Duration age = now - arrival;
    // Contradictory bounds mean the larger one: too late is politer than too often.
    return now + std::max(backoff.minimal, std::min(age, backoff.maximal));
}

}  // namespace postrider::queue
