// Where the log goes: syslog, a file, or standard output.
#pragma once

#include <ctime>
#include <functional>
#include <memory>
#include <mutex>
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

/// Lines that a target did not take. The next that it takes is preceded by one that tells of them.
class Losses {
public:
    void count(std::uint64_t lines, int error_number);
    bool empty() const { return untold_ == 0; }
    std::string text() const;  ///< `3 log lines were lost: No space left on device`.
    void told() { untold_ = 0; }
    std::uint64_t total() const { return total_; }

private:
    std::uint64_t total_ = 0;
    std::uint64_t untold_ = 0;
    int error_number_ = 0;
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
    std::uint64_t dropped() const { return losses_.total(); }

private:
    bool send(Severity, std::string_view program, std::string_view text);

    SyslogTarget(UniqueFd socket, LogTag tag, int facility, std::string path)
        : socket_(std::move(socket)),
          tag_(std::move(tag)),
          facility_(facility),
          path_(std::move(path)) {}

    UniqueFd socket_;
    LogTag tag_;
    int facility_;
    std::string path_;
    Losses losses_;
};

/// A file opened for appending, or standard output, in the form that postlogd gives maillog_file.
/// Lines that a file gathers leave in one write; those of Severity::Fatal and Panic at once. A
/// pipe, socket or terminal whose reader does not read is not waited for: lines are dropped and
/// counted.
class FileTarget final : public LogSink {
public:
    FileTarget(UniqueFd file, LogTag tag);
    ~FileTarget() override { flush(); }
    /// Creates the file with `mode` if it is not there. `/dev/stdout` is the standard output.
    static Result<UniqueFd> open_file(const std::string& path, unsigned mode);
    void write(Severity, std::string_view program, std::string_view text) override;
    /// From now on lines may be gathered: `schedule` is called, from any thread, when there are
    /// some to be written by a flush() soon. Without `schedule` each is written at once, as at
    /// first.
    void gather(std::function<void()> schedule);
    void flush();
    std::uint64_t dropped() const { return losses_.total(); }

private:
    void append(Severity, std::string_view program, std::string_view text);
    void write_out();

    UniqueFd file_;
    LogTag tag_;
    bool may_block_;
    std::mutex mutex_;  ///< Guards the rest: flush() is not called by a Log.
    std::function<void()> schedule_;
    std::string lines_;
    std::uint64_t line_count_ = 0;  ///< But for that which tells of losses.
    bool broken_line_ = false;      ///< The file ends in the middle of one.
    Losses losses_;
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
