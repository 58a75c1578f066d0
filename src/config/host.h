// What the configuration wants to know of the machine: its name and its addresses.
#pragma once

#include <string>
#include <vector>

namespace postrider::config {

struct InterfaceAddress {
    std::string address;    ///< `192.0.2.7` or `2001:db8::7`, without brackets or zone.
    int prefix_length = 0;  ///< Of its subnet, in bits.
};

/// The machine as defaults see it. A value, so that tests can name one of their own.
struct Host {
    std::string node_name;  ///< As `uname -n` prints it; need not have a dot.
    std::vector<InterfaceAddress> addresses;
};

/// The machine we run on. Asks the kernel only, never the DNS.
Host this_host();

}  // namespace postrider::config
