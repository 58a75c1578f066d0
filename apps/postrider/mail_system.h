// Asks the mail system: the running daemon, or the queue itself when no daemon runs.
#pragma once

#include <cstdint>
#include <functional>
#include <string_view>

#include "config/config.h"
#include "control/request.h"
#include "core/log.h"
#include "core/result.h"

namespace postrider::apps {

using LineReader = std::function<bool(std::string_view)>;

/// The running daemon only. Connection or NotFound when there is none.
Result<std::uint64_t> ask_daemon(const config::Config&, const control::Request&, const LineReader&);

/// The running daemon, or, when there is none and the caller may, the queue itself, under the lock
/// that keeps a daemon from starting meanwhile. `log` is told of the latter.
Result<std::uint64_t> ask(const config::Config&, const control::Request&, const LineReader&,
                          const Log& log);

}  // namespace postrider::apps
