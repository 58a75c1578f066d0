// Which clients are trusted when mynetworks is not set.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "config/host.h"
#include "core/result.h"

namespace postrider::config {

/// What the default of mynetworks depends on, as main.cf has it.
struct NetworkChoice {
    std::string_view style;                   ///< class, subnet or host.
    std::span<const std::string> interfaces;  ///< inet_interfaces.
    bool ipv4 = true;
    bool ipv6 = true;
};

/// The loopback networks first, always; then those of the host's own addresses that we listen on,
/// as wide as the style says: `127.0.0.0/8 [::1]/128 192.0.2.7/32`. Link-local addresses are left
/// out, they belong to everyone on the wire.
std::string default_networks(const Host&, const NetworkChoice&);

/// Checks an item of mynetworks that names an address or a network: `192.0.2.0/24`, `[::1]/128`.
/// The error says what is wrong, such as host bits that are not zero.
Result<void> check_network(std::string_view item);

}  // namespace postrider::config
