// Where a host can be reached, and in which order to try.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "net/endpoint.h"

namespace postrider::net {

/// One address of one server.
struct HostAddress {
    std::string host;  ///< the name in the log: of the MX, or as it stood in the brackets
    IpAddress address;
    int preference = 0;  ///< of the MX record; 0 for a host that was named directly

    friend bool operator==(const HostAddress&, const HostAddress&) = default;
};

/// smtp_address_preference.
enum class AddressPreference { Any, Ipv4, Ipv6 };

struct AddressOrder {
    AddressPreference preference = AddressPreference::Any;
    bool randomize = true;         ///< smtp_randomize_addresses
    bool balance_families = true;  ///< smtp_balance_inet_protocols
    std::size_t limit = 5;         ///< smtp_mx_address_limit; 0 = no limit
};

/// In the order of trying: by MX preference, then the preferred family, otherwise shuffled; cut at
/// the limit so that, if balanced, both families keep a share of it. A pure function of its
/// arguments: the same seed gives the same order.
std::vector<HostAddress> ordered(std::vector<HostAddress>, const AddressOrder&, std::uint64_t seed);

}  // namespace postrider::net
