// The process that owns the queue and the accounts, and speaks to smarthosts.
#pragma once

#include "core/unique_fd.h"
#include "daemon/master.h"

namespace postrider::daemon {

/// Exit status: the queue cannot be opened (EX_IOERR).
inline constexpr int kQueueStatus = 74;

/// Runs until the master says stop. `ages` are the master's, who knows more than this process.
/// `starting` means that a person may be watching standard error. The exit status: 0 in good order,
/// kQueueStatus, 78 for a configuration that cannot be used.
int run_courier(const Setup& setup, const Doors& doors, const delivery::Ages& ages, UniqueFd link,
                bool starting);

}  // namespace postrider::daemon
