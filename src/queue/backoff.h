// When a deferred message is tried again.
#pragma once

#include "core/clock.h"

namespace postrider::queue {

/// minimal_backoff_time and maximal_backoff_time.
struct Backoff {
    Duration minimal = std::chrono::seconds{300};
    Duration maximal = std::chrono::seconds{4000};
};

/// The next attempt is as far away as the message is old, within the bounds: at ages of about 5,
/// 10, 20, 40, 80 minutes, then every 66. A clock that went back counts as age 0. No jitter:
/// arrival times spread retries, and sessions are limited.
WallTime next_attempt(WallTime arrival, WallTime now, const Backoff&);

}  // namespace postrider::queue
