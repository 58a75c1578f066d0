// For a daemon of which nothing is root: files that only root, or a user, can read are opened for
// it by a short-lived process of root's, the keeper, which reads nothing but the configuration.
//
//   daemon, at start and when tables change          keeper, started by the service manager
//     connects to $POSTRIDER_KEEPER  -- path -->       main.cf names this file, or it is a drop:
//     reads the file                 <-- descriptor -- opens it and ends
#pragma once

#include <string>

#include "config/config.h"
#include "core/result.h"
#include "core/unique_fd.h"

namespace postrider::daemon {

/// Whether this daemon has a keeper ($POSTRIDER_KEEPER is set).
bool has_keeper();

/// The file, open for reading. Denied when the keeper says no, Unavailable when it does not answer
/// within some seconds.
Result<UniqueFd> ask_keeper(const std::string& path);

/// The keeper's whole life: answers one request on the connected socket `client`. Only tables that
/// the configuration names are opened, and messages in maildrop.
Result<void> answer_as_keeper(const config::Config&, int client);

}  // namespace postrider::daemon
