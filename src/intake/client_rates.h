// How much each client has asked for of late: smtpd_client_*_rate_limit.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <unordered_map>

#include "core/clock.h"

namespace postrider::intake {

/// What is counted of a client.
enum class RateEvent : std::uint8_t { Connection, Message, Recipient };
inline constexpr std::size_t kRateEventCount = 3;

struct RateOptions {
    /// By RateEvent: smtpd_client_connection_rate_limit and its kin; 0 means no limit.
    std::array<std::size_t, kRateEventCount> limits{};
    Duration time_unit = std::chrono::seconds{60};  ///< anvil_rate_time_unit
    /// smtpd_client_event_limit_exceptions. Empty: nobody is.
    std::function<bool(const std::string& address)> is_exempt;
};

/// Counts as Postfix's anvil does: within a time unit that begins with the client's first event
/// after the last one. Clients are told apart by their address, so local ones that come over the
/// network are one.
class ClientRates {
public:
    /// Clients whose time unit is not over; beyond that new ones are not counted.
    static constexpr std::size_t kClientsMax = 10'000;

    explicit ClientRates(RateOptions options) : options_(std::move(options)) {}

    /// One more of these. How many there were in this time unit, if that is too many; otherwise 0.
    std::size_t excess(RateEvent event, const std::string& address, MonotonicTime now);

private:
    struct Counts {
        MonotonicTime ends;
        std::array<std::size_t, kRateEventCount> counts{};
    };
    Counts* counts_of(const std::string& address, MonotonicTime now);

    const RateOptions options_;
    std::unordered_map<std::string, Counts> clients_;
    MonotonicTime swept_{};
};

}  // namespace postrider::intake
