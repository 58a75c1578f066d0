// What the administrator's commands share: where the configuration is, and how they complain.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "config/config.h"
#include "core/log.h"
#include "core/log_targets.h"

namespace postrider::apps {

/// One run of a command. Its messages go to standard error and, once the configuration is known,
/// to the log, both as `postqueue: fatal: ...`.
class Program {
public:
    Program(std::string name, int fatal_status);

    /// Reads the configuration of `directory` (-c), $MAIL_CONFIG, or the default one. Ends the
    /// program when it cannot be used. Warnings about it are the daemon's to give.
    const config::Config& load_config(std::string_view directory);

    /// To standard error and the log.
    Log log();
    /// Says why and exits with the status this command uses for it.
    [[noreturn]] void fatal(std::string_view text);
    const std::string& name() const { return name_; }

private:
    std::string name_;
    int fatal_status_;
    StderrTarget stderr_;
    std::unique_ptr<LogSink> target_;
    std::unique_ptr<BothTargets> both_;
    std::unique_ptr<config::Config> config_;
};

/// `alice(1500)`, or `uid:1500` without an account, for messages about the caller.
std::string caller_name();

}  // namespace postrider::apps
