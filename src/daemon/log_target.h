// Where the configuration says the log goes.
#pragma once

#include <memory>

#include <boost/asio/io_context.hpp>

#include "config/config.h"
#include "core/log.h"
#include "core/log_targets.h"
#include "core/result.h"

namespace postrider::daemon {

/// maillog_file if set (below one of maillog_file_prefixes), else syslog.
Result<std::unique_ptr<LogSink>> open_log_target(const config::Config&);

/// As long as it lives, the lines that go to a file in one turn of the event loop are written
/// together. A crash may lose those of the last turn; nothing that was answered depends on them.
class GatheredLog {
public:
    /// What open_log_target() opened, or null. It must outlive this.
    GatheredLog(LogSink* target, boost::asio::io_context& loop);
    ~GatheredLog();
    GatheredLog(const GatheredLog&) = delete;
    GatheredLog& operator=(const GatheredLog&) = delete;

private:
    FileTarget* file_;
};

}  // namespace postrider::daemon
