#include "core/log_targets.h"

#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <syslog.h>
#include <unistd.h>

namespace postrider {
namespace {

struct Facility {
    std::string_view name;
    int code;
};

constexpr std::array<Facility, 20> kFacilities{{
    {"auth", LOG_AUTH},     {"authpriv", LOG_AUTHPRIV}, {"cron", LOG_CRON},
    {"daemon", LOG_DAEMON}, {"ftp", LOG_FTP},           {"kern", LOG_KERN},
    {"lpr", LOG_LPR},       {"mail", LOG_MAIL},         {"news", LOG_NEWS},
    {"syslog", LOG_SYSLOG}, {"user", LOG_USER},         {"uucp", LOG_UUCP},
    {"local0", LOG_LOCAL0}, {"local1", LOG_LOCAL1},     {"local2", LOG_LOCAL2},
    {"local3", LOG_LOCAL3}, {"local4", LOG_LOCAL4},     {"local5", LOG_LOCAL5},
    {"local6", LOG_LOCAL6}, {"local7", LOG_LOCAL7},
}};

int priority_of(Severity severity) {
    switch (severity) {
        case Severity::Info:
            return LOG_INFO;
        case Severity::Warning:
            return LOG_WARNING;
        case Severity::Error:
            return LOG_ERR;
        case Severity::Fatal:
        case Severity::Panic:
            return LOG_CRIT;
    }
    return LOG_CRIT;
}

std::string time_stamp(std::time_t now, const char* layout) {
    std::tm local{};
    ::localtime_r(&now, &local);
    std::array<char, 32> text{};
    const std::size_t length = std::strftime(text.data(), text.size(), layout, &local);
    return {text.data(), length};
}

/// Asked of the kernel once in each process, not for each line.
const std::string& process_id() {
    static std::string text;
    static const int watching = ::pthread_atfork(nullptr, nullptr, [] { text.clear(); });
    if (text.empty() || watching != 0) text = std::to_string(::getpid());
    return text;
}

void append_tag(std::string& line, const LogTag& tag, std::string_view program) {
    line.append(tag.syslog_name).append("/").append(program);
    line.append("[").append(process_id()).append("]: ");
}

/// Gathered lines are written when they are this many bytes.
constexpr std::size_t kGatheredMax = 16 * 1024;

bool is_regular(int fd) {
    struct stat status = {};
    return ::fstat(fd, &status) == 0 && S_ISREG(status.st_mode);
}

}  // namespace

Result<std::unique_ptr<SyslogTarget>> SyslogTarget::open(LogTag tag, std::string_view facility,
                                                         std::string path) {
    int code = -1;
    for (const Facility& known : kFacilities) {
        if (known.name == facility) code = known.code;
    }
    if (code < 0) {
        return Unexpected(ErrorCode::Invalid,
                          "syslog_facility: unknown facility \"" + std::string(facility) + "\"");
    }
    UniqueFd socket(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (!socket) return Unexpected(system_error("open a socket for syslog", errno));
    return std::unique_ptr<SyslogTarget>(
        new SyslogTarget(std::move(socket), std::move(tag), code, std::move(path)));
}

void Losses::count(std::uint64_t lines, int error_number) {
    total_ += lines;
    untold_ += lines;
    error_number_ = error_number;
}

std::string Losses::text() const {
    return std::to_string(untold_) + (untold_ == 1 ? " log line was" : " log lines were") +
           " lost: " + std::strerror(error_number_);
}

void SyslogTarget::write(Severity severity, std::string_view program, std::string_view text) {
    if (!losses_.empty() && send(Severity::Warning, program, losses_.text())) losses_.told();
    if (!send(severity, program, text)) losses_.count(1, errno);
}

bool SyslogTarget::send(Severity severity, std::string_view program, std::string_view text) {
    std::string line = "<" + std::to_string(facility_ | priority_of(severity)) + ">";
    line += time_stamp(std::time(nullptr), "%b %e %H:%M:%S ");
    append_tag(line, tag_, program);
    line.append(severity_prefix(severity)).append(text);

    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    path_.copy(address.sun_path, sizeof address.sun_path - 1);
    return ::sendto(socket_.get(), line.data(), line.size(), MSG_NOSIGNAL,
                    reinterpret_cast<const sockaddr*>(&address), sizeof address) >= 0;
}

FileTarget::FileTarget(UniqueFd file, LogTag tag)
    : file_(std::move(file)), tag_(std::move(tag)), may_block_(!is_regular(file_.get())) {}

Result<UniqueFd> FileTarget::open_file(const std::string& path, unsigned mode) {
    if (path == "/dev/stdout") {
        UniqueFd copy(::fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3));
        if (!copy) return Unexpected(system_error("write the log to standard output", errno));
        return copy;
    }
    // O_NOFOLLOW: a log directory may belong to somebody who would like root to write elsewhere.
    UniqueFd file(
        ::open(path.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW, mode));
    if (!file) return Unexpected(system_error("open the log file " + path, errno));
    return file;
}

void FileTarget::write(Severity severity, std::string_view program, std::string_view text) {
    const std::lock_guard lock(mutex_);
    if (!losses_.empty() && line_count_ == 0) {
        append(Severity::Warning, program, losses_.text());
    }
    append(severity, program, text);
    ++line_count_;
    const bool urgent = severity == Severity::Fatal || severity == Severity::Panic;
    if (!schedule_ || urgent || lines_.size() > kGatheredMax) {
        write_out();
    } else if (line_count_ == 1) {
        schedule_();
    }
}

void FileTarget::append(Severity severity, std::string_view program, std::string_view text) {
    const std::time_t now = std::time(nullptr);
    if (now != stamp_second_) {
        stamp_ = time_stamp(now, "%b %d %H:%M:%S ") + tag_.host + " ";
        stamp_second_ = now;
    }
    if (std::exchange(broken_line_, false)) lines_ += '\n';
    lines_ += stamp_;
    append_tag(lines_, tag_, program);
    lines_.append(severity_prefix(severity)).append(text).append("\n");
}

void FileTarget::gather(std::function<void()> schedule) {
    const std::lock_guard lock(mutex_);
    // A pipe takes one line at a time whole, or none (PIPE_BUF).
    if (!may_block_) schedule_ = std::move(schedule);
    write_out();
}

void FileTarget::flush() {
    const std::lock_guard lock(mutex_);
    write_out();
}

void FileTarget::write_out() {
    if (lines_.empty()) return;
    pollfd readiness{file_.get(), POLLOUT, 0};
    const bool blocked = may_block_ && ::poll(&readiness, 1, 0) == 0;
    const ssize_t size = blocked ? -1 : ::write(file_.get(), lines_.data(), lines_.size());
    if (size == static_cast<ssize_t>(lines_.size())) {
        losses_.told();
    } else {
        losses_.count(line_count_, blocked ? EAGAIN : size < 0 ? errno : ENOSPC);
        broken_line_ = size > 0 && lines_[static_cast<std::size_t>(size) - 1] != '\n';
    }
    lines_.clear();
    line_count_ = 0;
}

void StderrTarget::write(Severity severity, std::string_view program, std::string_view text) {
    std::string line(program);
    line.append(": ").append(severity_prefix(severity)).append(text).append("\n");
    if (::write(fd_, line.data(), line.size()) < 0) return;  // Nobody is listening.
}

}  // namespace postrider
