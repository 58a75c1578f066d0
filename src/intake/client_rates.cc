#include "intake/client_rates.h"

namespace postrider::intake {

std::size_t ClientRates::excess(RateEvent event, const std::string& address, MonotonicTime now) {
    const auto which = static_cast<std::size_t>(event);
    const std::size_t limit = options_.limits[which];
    if (limit == 0 || (options_.is_exempt && options_.is_exempt(address))) return 0;
    Counts* known = counts_of(address, now);
    if (known == nullptr) return 0;
    const std::size_t count = ++known->counts[which];
    return count > limit ? count : 0;
}

/// Null if there is no room.
ClientRates::Counts* ClientRates::counts_of(const std::string& address, MonotonicTime now) {
    const auto found = clients_.find(address);
    if (found != clients_.end() && found->second.ends > now) return &found->second;
    if (found == clients_.end() && clients_.size() >= kClientsMax) {
        // Now and then only: it is work.
        if (now - swept_ < options_.time_unit / 16) return nullptr;
        swept_ = now;
        std::erase_if(clients_, [now](const auto& each) { return each.second.ends <= now; });
        if (clients_.size() >= kClientsMax) return nullptr;
    }
    Counts& fresh = clients_[address];
    fresh = Counts();
    fresh.ends = now + options_.time_unit;
    return &fresh;
}

}  // namespace postrider::intake
