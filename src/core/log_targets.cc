#include "core/log_targets.h"

#include <array>
#include <cerrno>
#include <cstring>

#include <fcntl.h>
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

void append_tag(std::string& line, const LogTag& tag, std::string_view program) {
    line.append(tag.syslog_name).append("/").append(program);
    line.append("[").append(std::to_string(::getpid())).append("]: ");
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

void SyslogTarget::write(Severity severity, std::string_view program, std::string_view text) {
    std::string line = "<" + std::to_string(facility_ | priority_of(severity)) + ">";
    line += time_stamp(std::time(nullptr), "%b %e %H:%M:%S ");
    append_tag(line, tag_, program);
    line.append(severity_prefix(severity)).append(text);

    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    path_.copy(address.sun_path, sizeof address.sun_path - 1);
    const ssize_t sent = ::sendto(socket_.get(), line.data(), line.size(), MSG_NOSIGNAL,
                                  reinterpret_cast<const sockaddr*>(&address), sizeof address);
    if (sent < 0) ++dropped_;
}

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
    const std::time_t now = std::time(nullptr);
    if (now != stamp_second_) {
        stamp_ = time_stamp(now, "%b %d %H:%M:%S ") + tag_.host + " ";
        stamp_second_ = now;
    }
    std::string line = stamp_;
    append_tag(line, tag_, program);
    line.append(severity_prefix(severity)).append(text).append("\n");
    if (::write(file_.get(), line.data(), line.size()) != static_cast<ssize_t>(line.size())) {
        ++dropped_;
    }
}

void StderrTarget::write(Severity severity, std::string_view program, std::string_view text) {
    std::string line(program);
    line.append(": ").append(severity_prefix(severity)).append(text).append("\n");
    if (::write(fd_, line.data(), line.size()) < 0) return;  // Nobody is listening.
}

}  // namespace postrider
