// Parameters: interfaces, protocols, trusted networks.
#pragma once

#include "config/rows/words.h"

namespace postrider::config::rows {

inline constexpr Parameter kNetworkRows[] = {
    {"inet_interfaces", List, Served, "loopback-only",
     "Addresses to listen on: all, loopback-only, or names and addresses. They also tell the "
     "host's own addresses."},
    {"proxy_interfaces", List, Ignored, "",
     "External addresses of NATs in front of this host (treated as own)."},
    {"inet_protocols", List, Served, "all", "Internet protocols to use: ipv4, ipv6 or all."},
    {"tcp_windowsize", Integer, Moot, "0", "Socket buffer override, 0 = system."},
    {"mynetworks", List, Served, "",
     "Clients that may relay: addresses and networks, IPv6 in brackets."},
    {"mynetworks_style",
     Choice,
     Served,
     "${{$compatibility_level} <level {2} ? {subnet} : {host}}",
     "What mynetworks is made of when it is not set: this host, its subnets, or the networks of "
     "its address classes.",
     {1, 0},
     "class subnet host"},
};

}  // namespace postrider::config::rows
