// Dates as mail writes them, RFC 5322 3.3.
#pragma once

#include <chrono>
#include <string>

#include "core/clock.h"

namespace postrider::message {

/// The local time zone at one instant: it differs from summer to winter.
struct Zone {
    std::chrono::minutes offset{0};  ///< East of Greenwich.
    std::string name = "UTC";        ///< `CET`; empty if unknown.
};

/// The zone of this process at `time`. The first call may read the zone file.
Zone local_zone(WallTime time);

/// `Sun, 22 Nov 2026 14:02:35 +0000 (UTC)`; without the parentheses if the zone has no name.
std::string mail_date(WallTime time, const Zone& zone);

}  // namespace postrider::message
