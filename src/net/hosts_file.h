// The hosts file: names that need no server.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "net/endpoint.h"

namespace postrider::net {

/// Addresses by lower-case name.
using HostsTable = std::map<std::string, std::vector<IpAddress>, std::less<>>;

/// Parses `ADDRESS NAME... # comment` lines (hosts(5)). Lines that make no sense are skipped;
/// at most 100000 names are taken.
HostsTable parse_hosts(std::string_view text);

}  // namespace postrider::net
