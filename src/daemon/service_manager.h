// What a service manager such as systemd hands over, and what it wants to be told: sd_listen_fds(3)
// and sd_notify(3), whose protocols are a few variables and one datagram.
#pragma once

#include <string_view>
#include <vector>

#include "core/result.h"
#include "core/unique_fd.h"

namespace postrider::daemon {

/// LISTEN_FDNAMES when it was us who opened the sockets, before we started anew.
inline constexpr std::string_view kOwnSockets = "own";

struct HandedOver {
    std::vector<UniqueFd> sockets;
    bool own = false;  ///< They are `kOwnSockets`.
};

/// The descriptors handed over to this process (LISTEN_FDS, LISTEN_PID), close-on-exec from now on.
/// The variables are removed: a second call, or a child's, finds nothing.
HandedOver take_handed_over();

/// Says `state`, such as `READY=1`, to the manager that NOTIFY_SOCKET names; without one there is
/// nobody to tell.
Result<void> tell_service_manager(std::string_view state);

}  // namespace postrider::daemon
