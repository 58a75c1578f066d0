// Parameters: interfaces, protocols, trusted networks.
#pragma once

#include "config/parameters.h"

namespace postrider::config::rows {

inline constexpr Parameter kNetworkRows[] = {
    {"inet_interfaces", List, Served, "loopback-only",
     "Addresses to listen on: all, loopback-only, or names and addresses. They also tell the "
     "host's own addresses."},
    {"proxy_interfaces", List, Ignored, "",
     "External addresses of NATs in front of this host (treated as own)."},
    {"inet_protocols", List, Served, "all",
     "Ipv4, ipv6, all (or ipv4, ipv6). An unsupported family under all is silently disabled."},
    {"tcp_windowsize", Integer, Moot, "0", "Socket buffer override, 0 = system."},
    {"mynetworks", List, Served, "",
     "Trusted client networks. IPv6 as [addr]/bits. Default derived from mynetworks_style."},
    {"mynetworks_style",
     Choice,
     Served,
     "${{$compatibility_level} <level {2} ? {subnet} : {host}}",
     "Class, subnet, host: how interface addresses become mynetworks when that is unset. host "
     "gives /32 and /128 entries of own addresses.",
     {1, 0},
     "class subnet host"},
};

}  // namespace postrider::config::rows
