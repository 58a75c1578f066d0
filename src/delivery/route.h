// Which way a recipient goes: transport and next hop.
#pragma once

#include <string>

#include "core/result.h"
#include "delivery/options.h"
#include "mail/address.h"
#include "mail/disposition.h"

namespace postrider::delivery {

struct Route {
    enum class Transport : std::uint8_t {
        Smtp,     ///< To the hosts in `next_hops`.
        Settled,  ///< Nothing to connect to: `disposition` is what becomes of the recipient.
    };
    Transport transport = Transport::Settled;
    /// Smtp: the hosts, as relayhost is written; what destinations are grouped by.
    std::string next_hops;
    bool is_relayhost = false;      ///< The operator named it: a wrong name is a wrong setting.
    mail::Disposition disposition;  ///< Settled.
    std::string program = "error";  ///< Settled: who logs it.
};

/// Finds routes. Tables are asked each time: they are in memory, and a change counts at once.
///
///   local domain         bounced: there is no mailbox here
///   transport_maps       decides over everything else
///   sender_dependent_relayhost_maps, else relayhost, else deferred: no direct delivery yet
class Router {
public:
    /// Both must outlive it.
    Router(const RouteOptions& options, const Maps& maps) : options_(options), maps_(maps) {}

    /// Never fails: a table that cannot answer becomes a deferral that says so.
    Route route(const mail::Address& sender, const mail::Address& recipient) const;

    /// Every recipient that is not local goes there: nothing but relayhost decides.
    bool has_single_destination() const;

private:
    Route route_transport(std::string_view value, std::string next_hop, bool named,
                          const mail::Address& recipient) const;
    table::Answer find_transport(const mail::Address& recipient) const;
    table::Answer find_relayhost(const mail::Address& sender) const;
    bool is_local(const mail::Address& recipient) const;

    const RouteOptions& options_;
    const Maps& maps_;
};

}  // namespace postrider::delivery
