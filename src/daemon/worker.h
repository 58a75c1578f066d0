// A process of ours, as the master sees it.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include <sys/types.h>

#include "core/clock.h"
#include "core/result.h"
#include "core/unique_fd.h"

namespace postrider::daemon {

struct Worker {
    std::string name;  ///< `intake` or `courier`.
    pid_t pid = -1;
    UniqueFd link;  ///< Notes to and from it; see link.h.
    MonotonicTime started;
    bool ready = false;
    bool stopping = false;
    std::optional<bool> quiet;  ///< Its answer, while it is needed.
};

/// What a worker does with its end of the link, from its first instant to its exit status.
using WorkerMain = std::function<int(UniqueFd link)>;

/// Forks. The child keeps standard output and error, its link and the descriptors in `keep`,
/// nothing else of the master's; signals are as a new program has them.
Result<Worker> start_worker(std::string name, MonotonicTime now, const std::vector<int>& keep,
                            const WorkerMain& main);

/// A copy of standard error to complain on until this process serves. A detached process has left
/// the terminal otherwise: once it is confined it could not.
UniqueFd take_terminal(bool detached);

/// Points standard input, output and error at /dev/null: whoever waits for their end, as `$(...)`
/// does, must not wait for a daemon.
void leave_terminal();

}  // namespace postrider::daemon
