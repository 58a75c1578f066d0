// Where the configuration says the log goes.
#pragma once

#include <memory>

#include "config/config.h"
#include "core/log.h"
#include "core/result.h"

namespace postrider::daemon {

/// maillog_file if set (below one of maillog_file_prefixes), else syslog.
Result<std::unique_ptr<LogSink>> open_log_target(const config::Config&);

}  // namespace postrider::daemon
