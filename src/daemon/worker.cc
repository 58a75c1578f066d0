#include "daemon/worker.h"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <exception>

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "daemon/link.h"

namespace postrider::daemon {
namespace {

void close_all_but(std::vector<int> keep) {
    std::sort(keep.begin(), keep.end());
    unsigned next = 3;
    for (const int fd : keep) {
        if (fd < 3) continue;
        const auto kept = static_cast<unsigned>(fd);
        if (kept > next) ::close_range(next, kept - 1, 0);
        next = std::max(next, kept + 1);
    }
    ::close_range(next, ~0U, 0);
}

/// A terminal that the daemon was started from is nobody's business any more.
void forget_standard_input() {
    const int null = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (null > STDIN_FILENO) {
        ::dup2(null, STDIN_FILENO);
        ::close(null);
    }
}

void reset_signals() {
    for (const int signal : {SIGCHLD, SIGUSR1}) ::signal(signal, SIG_DFL);
    // A peer that goes away is an error code to us, and a full disk is one, too.
    ::signal(SIGPIPE, SIG_IGN);
    ::signal(SIGXFSZ, SIG_IGN);
    // A terminal or a service manager signals the whole group: the answer is the master's, who
    // stops the workers in order.
    for (const int signal : {SIGTERM, SIGINT, SIGHUP}) ::signal(signal, SIG_IGN);
    sigset_t none;
    ::sigemptyset(&none);
    ::sigprocmask(SIG_SETMASK, &none, nullptr);
}

}  // namespace

Result<Worker> start_worker(std::string name, MonotonicTime now, const std::vector<int>& keep,
                            const WorkerMain& main) {
    auto ends = make_link();
    if (!ends) return Unexpected(std::move(ends).error());
    const pid_t pid = ::fork();
    if (pid < 0) return Unexpected(system_error("start the " + name + " process", errno));
    if (pid == 0) {
        reset_signals();
        forget_standard_input();
        ::prctl(PR_SET_NAME, ("postrider-" + name).c_str());
        UniqueFd link = std::move(ends->second);
        std::vector<int> kept = keep;
        kept.push_back(link.get());
        ends->first.release();  // Closed with the rest.
        close_all_but(std::move(kept));
        // Whatever escapes ends this process; the master logs that and starts another.
        try {
            ::_exit(main(std::move(link)));
        } catch (const std::exception& trouble) {
            std::fprintf(stderr, "postrider: %s: %s\n", name.c_str(), trouble.what());
            ::_exit(70);
        }
    }
    Worker worker;
    worker.name = std::move(name);
    worker.pid = pid;
    worker.link = std::move(ends->first);
    worker.started = now;
    return worker;
}

UniqueFd take_terminal(bool detached) {
    UniqueFd terminal(::fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3));
    if (detached) leave_terminal();
    return terminal;
}

void leave_terminal() {
    const int null = ::open("/dev/null", O_RDWR | O_CLOEXEC);
    if (null < 0) return;
    for (int fd = 0; fd <= 2; ++fd) ::dup2(null, fd);
    if (null > 2) ::close(null);
}

}  // namespace postrider::daemon
