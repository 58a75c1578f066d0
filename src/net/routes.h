// The machine's ways out, as the kernel's routing tables have them.
#pragma once

#include <set>
#include <span>
#include <string>

#include "core/result.h"

namespace postrider::net {

/// What matters of routes and addresses to somebody who wants to reach the world. Entries are
/// opaque: two moments are compared with each other.
struct Routes {
    /// Some route leaves this machine: not over loopback, not to neighbours alone (link-local), and
    /// its link is up. Whether anybody answers there is another matter.
    bool leads_out = false;
    std::set<std::string> defaults;   ///< default routes: gateway and interface
    std::set<std::string> addresses;  ///< own addresses beyond loopback and link-local

    /// Takes out what `lost` has, so that it counts as new when it is back.
    void remove(const Routes& lost);
    /// Whether something is there that was not there `before`: a new network, or a lost one that is
    /// back.
    bool has_more_than(const Routes& before) const;
};

/// Adds the routes and addresses in a run of netlink messages (rtnetlink(7)); those that the kernel
/// says are gone to `lost`, if anybody wants to know. True when it says that the list ends here; an
/// error of the kernel's is Io.
Result<bool> add_messages(std::span<const char> bytes, Routes& to, Routes* lost = nullptr);

/// Asks the kernel. Reads a bounded number of routes, without waiting: some tens of microseconds on
/// a laptop.
Result<Routes> read_routes();

}  // namespace postrider::net
