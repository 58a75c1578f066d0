#include "daemon/alert_program.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <ctime>
#include <utility>

#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fmt/format.h>

#include "daemon/confine.h"
#include "daemon/link.h"

namespace postrider::daemon {
namespace {

constexpr char kSeparator = '\n';  // What is told is printable, so it has none.
constexpr int kNotStarted = 127;

std::string calendar_text(std::int64_t seconds) {
    const std::time_t time = seconds;
    std::tm parts{};
    ::gmtime_r(&time, &parts);
    std::array<char, 32> text{};
    const std::size_t length =
        std::strftime(text.data(), text.size(), "%Y-%m-%dT%H:%M:%SZ", &parts);
    return std::string(text.data(), length);
}

/// In the child: becomes the program, or ends.
[[noreturn]] void become(const char* path, char* const* arguments, const Owner& owner) {
    const int null = ::open("/dev/null", O_RDWR);
    for (int fd = 0; fd <= 2; ++fd) ::dup2(null, fd);
    ::close_range(3, ~0U, 0);
    for (int signal = 1; signal < NSIG; ++signal) ::signal(signal, SIG_DFL);
    sigset_t none;
    ::sigemptyset(&none);
    ::sigprocmask(SIG_SETMASK, &none, nullptr);
    ::setsid();
    if (::chdir("/") < 0 || !drop_privileges(owner)) ::_exit(kNotStarted);
    std::array<char, 64> search{"PATH=/usr/local/bin:/usr/bin:/bin"};
    const std::array<char*, 2> environment{search.data(), nullptr};
    ::execve(path, arguments, environment.data());
    ::_exit(kNotStarted);
}

}  // namespace

std::string AlertText::to_note() const {
    std::string text = state + kSeparator + account.substr(0, 300) + kSeparator + reason;
    text.resize(std::min(text.size(), kNoteTextMax));
    return text;
}

AlertText AlertText::from_note(const std::string& text, std::int64_t since) {
    AlertText alert;
    alert.since = since;
    const std::size_t first = text.find(kSeparator);
    alert.state = text.substr(0, first);
    if (first == std::string::npos) return alert;
    const std::size_t second = text.find(kSeparator, first + 1);
    alert.account = text.substr(first + 1, second - first - 1);
    if (second != std::string::npos) alert.reason = text.substr(second + 1);
    return alert;
}

AlertProgram::~AlertProgram() {
    if (running_ > 0) ::kill(-running_, SIGKILL);
}

void AlertProgram::raise(AlertText alert, MonotonicTime now) {
    if (path_.empty()) return;
    std::erase_if(pending_, [&](const AlertText& older) { return older.account == alert.account; });
    if (pending_.size() >= kPendingMax) {
        log_.warning("alert_command: too many alerts at once, one is left out");
        pending_.pop_front();
    }
    pending_.push_back(std::move(alert));
    run_next(now);
}

void AlertProgram::run_next(MonotonicTime now) {
    if (running_ > 0 || pending_.empty()) return;
    AlertText alert = std::move(pending_.front());
    pending_.pop_front();
    std::string since = calendar_text(alert.since);
    std::array<char*, 6> arguments{path_.data(),        alert.state.data(), alert.account.data(),
                                   alert.reason.data(), since.data(),       nullptr};
    const pid_t pid = ::fork();
    if (pid == 0) become(path_.c_str(), arguments.data(), owner_);
    if (pid < 0) {
        log_.warning(system_error("alert_command: start a process", errno).message);
        return;
    }
    running_ = pid;
    killed_ = false;
    kill_at_ = now + kRunMax;
}

bool AlertProgram::ended(pid_t pid, int status, MonotonicTime now) {
    if (pid != running_) return false;
    running_ = -1;
    if (killed_) {
        log_.warning(fmt::format("alert_command {}: killed after {} s", path_, kRunMax.count()));
    } else if (WIFEXITED(status) && WEXITSTATUS(status) == kNotStarted) {
        log_.warning(fmt::format(
            "alert_command {}: cannot be run; is it there, executable, and with systemd "
            "named in ExecPaths= of the unit?",
            path_));
    } else if (WIFSIGNALED(status)) {
        log_.warning(fmt::format("alert_command {}: killed by signal {}", path_, WTERMSIG(status)));
    } else if (WEXITSTATUS(status) != 0) {
        log_.warning(fmt::format("alert_command {}: exit status {}", path_, WEXITSTATUS(status)));
    }
    run_next(now);
    return true;
}

void AlertProgram::heed_time(MonotonicTime now) {
    if (running_ <= 0 || killed_ || now < kill_at_) return;
    killed_ = true;
    ::kill(-running_, SIGKILL);
    ::kill(running_, SIGKILL);  // It may not lead a group yet.
}

std::optional<MonotonicTime> AlertProgram::wake_at() const {
    if (running_ <= 0 || killed_) return std::nullopt;
    return kill_at_;
}

}  // namespace postrider::daemon
