// The program that tells a person that something needs one: alert_command.
#pragma once

#include <deque>
#include <optional>
#include <string>
#include <string_view>

#include <sys/types.h>

#include "core/clock.h"
#include "core/log.h"
#include "daemon/layout.h"

namespace postrider::daemon {

/// What it is told.
struct AlertText {
    std::string state;    ///< `login-refused`, ..., `ok`.
    std::string account;  ///< What it is about.
    std::string reason;
    std::int64_t since = 0;  ///< Seconds since 1970.

    /// For the link between processes; cut to what a note can carry.
    std::string to_note() const;
    static AlertText from_note(const std::string& text, std::int64_t since);
};

/// What alerts about the queue's store are about; the courier tells of some, the master of others.
inline constexpr std::string_view kStoreAccount = "the queue's store";

/// Runs `PROGRAM state account reason since`, without a shell, as mail_owner, with nothing of ours:
/// no descriptors but /dev/null, PATH alone for an environment, `/` to work in. One at a time, for
/// kRunMax at most; of what happens meanwhile it is told the latest for each account.
class AlertProgram {
public:
    AlertProgram(const Owner& owner, const Log& log) : owner_(owner), log_(log) {}
    ~AlertProgram();
    AlertProgram(const AlertProgram&) = delete;
    AlertProgram& operator=(const AlertProgram&) = delete;

    /// Empty: nobody is told.
    void set_program(std::string path) { path_ = std::move(path); }
    void raise(AlertText, MonotonicTime now);
    /// A child has ended; true if it was the program.
    bool ended(pid_t pid, int status, MonotonicTime now);
    /// Ends a program that takes too long.
    void heed_time(MonotonicTime now);
    std::optional<MonotonicTime> wake_at() const;

private:
    static constexpr std::chrono::seconds kRunMax{30};
    static constexpr std::size_t kPendingMax = 32;

    void run_next(MonotonicTime now);

    const Owner& owner_;
    Log log_;
    std::string path_;
    std::deque<AlertText> pending_;
    pid_t running_ = -1;
    bool killed_ = false;
    MonotonicTime kill_at_{};
};

}  // namespace postrider::daemon
