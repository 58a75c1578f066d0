// Dates as mail writes them: `Sun, 22 Nov 2026 14:11:35 +0000 (UTC)`.
#pragma once

#include <chrono>
#include <string>

#include "core/clock.h"

namespace postrider::message {

/// How local time is written at one instant.
struct Zone {
    std::chrono::minutes offset{0};  ///< East of UTC.
    std::string name = "UTC";        ///< Abbreviation; empty if there is none to show.

    Zone() = default;
    Zone(std::chrono::minutes east, std::string abbreviation)
        : offset(east), name(std::move(abbreviation)) {}
};

/// The zone of this machine (TZ, /etc/localtime) at that instant.
Zone system_zone(WallTime);

/// RFC 5322 3.3, with Postfix's comment behind it. The day is padded with a space, as Postfix
/// does: `Tue,  3 Nov 2026 ...`.
std::string mail_date(WallTime, const Zone&);

}  // namespace postrider::message
