// Where the log goes: syslog, a file, or standard output.
#pragma once

#include <ctime>
#include <memory>
#include <string>
#include <string_view>

#include <unistd.h>

#include "core/log.h"
#include "core/result.h"
#include "core/unique_fd.h"

namespace postrider {

/// What stands in front of the text: `Nov 22 14:02:35 desk postrider/smtp[175]: `.
struct LogTag {
    std::string syslog_name;  ///< `postrider`; the program name follows after a slash.
    std::string host;         ///< Without domain; used by files only.
};

/// The local syslog daemon, by datagrams to /dev/log. Never waits: a line that cannot be sent at
/// once is dropped and counted. Needs no reconnecting when the daemon restarts.
class SyslogTarget final : public LogSink {
public:
    /// `facility` is a name of syslog.conf (mail, daemon, local0, ...). Opens the socket, so that a
    /// process may give up opening anything afterwards. A missing daemon is no error.
    static Result<std::unique_ptr<SyslogTarget>> open(LogTag tag, std::string_view facility,
                                                      std::string path = "/dev/log");
    void write(Severity, std::string_view program, std::string_view text) override;
    std::uint64_t dropped() const { return dropped_; }

private:
    SyslogTarget(UniqueFd socket, LogTag tag, int facility, std::string path)
        : socket_(std::move(socket)),
          tag_(std::move(tag)),
          facility_(facility),
          path_(std::move(path)) {}

    UniqueFd socket_;
    LogTag tag_;
    int facility_;
    std::string path_;
    std::uint64_t dropped_ = 0;
};

/// A file opened for appending, or standard output: one write for each line, in the form that
/// postlogd gives maillog_file.
class FileTarget final : public LogSink {
public:
    FileTarget(UniqueFd file, LogTag tag) : file_(std::move(file)), tag_(std::move(tag)) {}
    /// Creates the file with `mode` if it is not there. `/dev/stdout` is the standard output.
    static Result<UniqueFd> open_file(const std::string& path, unsigned mode);
    void write(Severity, std::string_view program, std::string_view text) override;
    std::uint64_t dropped() const { return dropped_; }

private:
    UniqueFd file_;
    LogTag tag_;
    std::uint64_t dropped_ = 0;
    std::time_t stamp_second_ = -1;
    std::string stamp_;
};

/// Standard error, `program: warning: text`: what commands say to a person.
class StderrTarget final : public LogSink {
public:
    /// `fd` may be a copy of standard error; it is not owned.
    explicit StderrTarget(int fd = STDERR_FILENO) : fd_(fd) {}
    void write(Severity, std::string_view program, std::string_view text) override;

private:
    int fd_;
};

/// Two targets at once; either may be null. Does not own them.
class BothTargets final : public LogSink {
public:
    BothTargets(LogSink* first, LogSink* second) : first_(first), second_(second) {}
    void write(Severity severity, std::string_view program, std::string_view text) override {
        if (first_) first_->write(severity, program, text);
        if (second_) second_->write(severity, program, text);
    }

    /// Goes on with the first alone.
    void drop_second() { second_ = nullptr; }

private:
    LogSink* first_;
    LogSink* second_;
};

}  // namespace postrider
