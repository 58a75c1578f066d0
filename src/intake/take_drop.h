// Brings a message from the drop directory into the queue.
#pragma once

#include <cstdint>
#include <string>

#include "core/result.h"
#include "core/unique_fd.h"
#include "intake/submission.h"
#include "net/stream.h"

namespace postrider::intake {

/// Reads the message in `file`, which open_drop() has opened, and commits it for the user `uid`.
/// After success the file `name` must be unlinked. Errors:
///   Unavailable, DiskFull, ... - the queue cannot take it now: leave the file, try again later;
///   Invalid - it is incomplete, malformed, or refused for good, with a warning in the log: move it
///             out of the way, for a person to look at; it must not be dropped.
net::Awaitable<Result<void>> take_drop(UniqueFd file, std::int64_t uid, std::string name,
                                       const Services& services, const SubmissionOptions& options);

}  // namespace postrider::intake
