// postriderd: the daemon.
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "config/config.h"
#include "core/clock.h"
#include "core/log_targets.h"
#include "core/wiped_frees.h"
#include "daemon/confine.h"
#include "daemon/keeper.h"
#include "daemon/layout.h"
#include "daemon/log_target.h"
#include "daemon/master.h"
#include "daemon/service_manager.h"
#include "daemon/worker.h"

namespace {

using namespace postrider;

constexpr const char* kUsage =
    "usage: postriderd [-c config_dir] [-d]\n"
    "  -c DIR  the directory of main.cf (default: $MAIL_CONFIG, else /etc/postrider)\n"
    "  -d      detach: return once mail can be taken in and sent\n"
    "  -k      be the keeper: open one file for a daemon that is not root (for its unit)\n"
    "  -V      print the version\n";

struct Arguments {
    std::string directory;
    bool detach = false;
    bool keeper = false;
    char** words = nullptr;  ///< As they were given.
};

Arguments parse_arguments(int argc, char** argv) {
    Arguments arguments;
    arguments.words = argv;
    for (int option; (option = ::getopt(argc, argv, "c:dhkV")) != -1;) {
        switch (option) {
            case 'c':
                arguments.directory = ::optarg;
                break;
            case 'd':
                arguments.detach = true;
                break;
            case 'k':
                arguments.keeper = true;
                break;
            case 'V':
                std::puts("postrider " POSTRIDER_VERSION);
                std::exit(0);
            case 'h':
                std::fputs(kUsage, stdout);
                std::exit(0);
            default:
                std::fputs(kUsage, stderr);
                std::exit(64);
        }
    }
    if (::optind < argc) {
        std::fputs(kUsage, stderr);
        std::exit(64);
    }
    return arguments;
}

/// Descriptors 0 to 2 must be something, or the first files opened would take their place.
void open_standard_descriptors() {
    int fd;
    do {
        fd = ::open("/dev/null", O_RDWR);
    } while (fd >= 0 && fd <= 2);
    if (fd > 2) ::close(fd);
}

/// What a library would do differently because of our caller's environment is decided by the
/// configuration instead. The service manager's part stays.
void clean_environment() {
    constexpr std::array kKept{"MAIL_CONFIG",     "TZ",
                               "LISTEN_FDS",      "LISTEN_FDNAMES",
                               "LISTEN_PID",      "LISTEN_PIDFDID",
                               "NOTIFY_SOCKET",   "WATCHDOG_USEC",
                               "WATCHDOG_PID",    "CREDENTIALS_DIRECTORY",
                               "POSTRIDER_KEEPER"};
    std::vector<std::pair<const char*, std::string>> kept;
    for (const char* name : kKept) {
        if (const char* value = std::getenv(name)) kept.emplace_back(name, value);
    }
    ::clearenv();
    ::setenv("PATH", "/usr/bin:/bin", 1);
    for (const auto& [name, value] : kept) ::setenv(name, value.c_str(), 1);
}

/// Goes on in a child of its own session. The parent waits until the child reports that it serves,
/// and ends with status 0; or until the child ends before that, and ends with its status.
/// Returns the descriptor to report on.
UniqueFd detach() {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) < 0) {
        std::fprintf(stderr, "postriderd: %s\n",
                     system_error("make a pipe", errno).message.c_str());
        std::exit(71);
    }
    const pid_t child = ::fork();
    if (child < 0) {
        std::fprintf(stderr, "postriderd: %s\n", system_error("fork", errno).message.c_str());
        std::exit(71);
    }
    if (child == 0) {
        ::close(ends[0]);
        ::setsid();
        return UniqueFd(ends[1]);
    }
    ::close(ends[1]);
    char byte = 0;
    if (::read(ends[0], &byte, 1) == 1) ::_exit(0);
    int status = 0;
    ::waitpid(child, &status, 0);
    ::_exit(WIFEXITED(status) && WEXITSTATUS(status) != 0 ? WEXITSTATUS(status) : 1);
}

void report_success(UniqueFd& parent, const Log& log) {
    if (auto told = daemon::tell_service_manager("READY=1"); !told) {
        log.warning(told.error().message);
    }
    if (!parent) return;
    daemon::leave_terminal();
    if (::write(parent.get(), "", 1) != 1) std::exit(71);
    parent.reset();
}

std::vector<int> all_of(const daemon::Doors& doors) {
    std::vector<int> sockets{doors.submit.get(), doors.control.get()};
    for (const UniqueFd& door : doors.smtp) sockets.push_back(door.get());
    return sockets;
}

/// Answers one request on standard input, which the service manager has accepted.
int keep(const config::Config& config, const Log& log) {
    auto answered = daemon::answer_as_keeper(config, STDIN_FILENO);
    if (answered) return 0;
    log.error(answered.error().message);
    return 1;
}

/// Reads and opens everything a master needs; says on standard error and in the log what is wrong.
int serve(const Arguments& arguments, UniqueFd parent) {
    StderrTarget console;
    const Log complaint(console, "postriderd");
    const auto fail = [&](const Error& error, int status) {
        complaint.fatal(error.message);
        return status;
    };

    const char* environment = std::getenv("MAIL_CONFIG");
    std::optional<WipedFrees> wiped(std::in_place);  // main.cf may hold passwords.
    auto config = config::Config::load(
        config::configuration_directory(arguments.directory, environment ? environment : ""));
    wiped.reset();
    if (!config) return fail(config.error(), 78);
    if (arguments.keeper) return keep(*config, complaint);
    auto target = daemon::open_log_target(*config);
    if (!target) return fail(target.error(), 78);
    const bool to_stdout = config->text("maillog_file") == "/dev/stdout";
    BothTargets both(target->get(), to_stdout ? nullptr : &console);
    const Log log(both, "master");

    auto owner = daemon::find_owner(config->text("mail_owner"));
    if (!owner) return fail(owner.error(), 78);
    const daemon::Layout layout{config->text("queue_directory")};
    if (auto prepared = daemon::prepare(layout, *owner); !prepared) {
        return fail(prepared.error(), 73);
    }
    auto lock = daemon::take_master_lock(layout, log);
    if (!lock) return fail(lock.error(), 75);
    auto doors = daemon::open_doors(*config, layout, log);
    if (!doors) return fail(doors.error(), 71);
    if (::geteuid() != 0 && !parent && daemon::has_ambient_privileges()) {
        auto started = daemon::start_anew_without_privileges(all_of(*doors), doors->are_kept_open,
                                                             arguments.words);
        return fail(started.error(), 71);
    }
    for (const std::string& warning : config->warnings()) log.warning(warning);
    if (config->is_set("mail_owner")) {
        const auto warning = daemon::owner_warning(*owner, config->text("mail_owner"));
        if (!warning.empty()) log.warning(warning);
    }

    const SystemClock clock;
    daemon::Setup setup{std::move(config).value(), layout, *owner, arguments.detach};
    daemon::Master master(std::move(setup), std::move(doors).value(), **target, clock);
    master.on_started([&] { report_success(parent, log); });
    return master.run();
}

}  // namespace

int main(int argc, char** argv) {
    open_standard_descriptors();
    ::umask(022);
    clean_environment();
    const Arguments arguments = parse_arguments(argc, argv);
    UniqueFd parent;
    if (arguments.detach) parent = detach();
    return serve(arguments, std::move(parent));
}
