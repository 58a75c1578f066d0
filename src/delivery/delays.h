// The four delays of a delivery, and how they are rounded for people.
#pragma once

#include <optional>
#include <string>

#include "core/clock.h"

namespace postrider::delivery {

/// When a delivery passed its stages. A stage that was not reached is left out.
struct Stations {
    WallTime arrival;                   ///< Of the message.
    WallTime activated;                 ///< Leased.
    WallTime taken;                     ///< A session was asked for.
    std::optional<WallTime> connected;  ///< Ready for MAIL, on a connection made for this delivery.
    WallTime finished;
};

/// `a/b/c/d` of the log: before the lease, waiting for a session, connecting (DNS to AUTH),
/// transmitting. Without a session the agent's time is `d`, and `c` is zero.
struct Delays {
    Duration total{};
    Duration before{};
    Duration waiting{};
    Duration connecting{};
    Duration transmitting{};
};

/// Intervals that a clock step made negative are zero.
Delays measure(const Stations&);

/// At most two digits that mean something: steps of 10^-`resolution` s below a second, of 0.1 s
/// below ten, whole seconds above; halves round up. `1.26 s` is `1.3`, nothing is `0`.
std::string rounded(Duration, int resolution);

/// `delay=T, delays=a/b/c/d`.
std::string delay_fields(const Delays&, int resolution);

}  // namespace postrider::delivery
