// The process that takes mail in from everybody, and has no secret.
#pragma once

#include "core/unique_fd.h"
#include "daemon/master.h"

namespace postrider::daemon {

/// Runs until the master says stop and the sessions have ended. `starting` means that a person may
/// be watching standard error. The exit status: 0 in good order, 78 for a configuration that cannot
/// be used.
int run_intake(const Setup& setup, const Doors& doors, UniqueFd link, bool starting);

}  // namespace postrider::daemon
