// postrider start, stop, reload, status, flush, check: the operator's command.
#include <algorithm>
#include <chrono>
#include <ctime>
#include <filesystem>
#include <iterator>
#include <set>
#include <string>
#include <string_view>
#include <thread>

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "commands.h"
#include "daemon/belongings.h"
#include "daemon/layout.h"
#include "daemon/translate.h"
#include "mail_system.h"
#include "program.h"

namespace postrider::apps {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kUsage =
    "usage: postrider [-c config_dir] command\n"
    "  start     start the mail system (start-fg: in the foreground)\n"
    "  stop      finish what is being sent, and stop\n"
    "  reload    read main.cf and all tables anew\n"
    "  status    tell whether it runs, what waits, and what is in trouble (-j: as JSON)\n"
    "  flush     try all waiting mail now\n"
    "  pause     let mail for the relayhost, or the next hop named, wait\n"
    "  resume    let it go on; an account in trouble is tried now\n"
    "  check     say what is wrong with the configuration\n";

bool is_command(std::string_view word) {
    constexpr std::string_view kCommands[] = {"start",  "start-fg", "stop",  "abort", "reload",
                                              "status", "flush",    "check", "pause", "resume"};
    return std::find(std::begin(kCommands), std::end(kCommands), word) != std::end(kCommands);
}

/// The daemon's program lies beside ours.
fs::path daemon_program() {
    return fs::read_symlink("/proc/self/exe").parent_path() / "postriderd";
}

/// Passes warnings on, and counts them: each once, though several processes would give it.
class CountedWarnings final : public LogSink {
public:
    explicit CountedWarnings(const Log& to) : to_(to) {}
    void write(Severity severity, std::string_view, std::string_view text) override {
        if (severity != Severity::Info && said_.emplace(text).second) to_.warning(text);
    }
    std::size_t count() const { return said_.size(); }

private:
    const Log& to_;
    std::set<std::string> said_;
};

class Operator {
public:
    Operator(Program& program, const config::Config& config)
        : program_(program), config_(config), layout_{config.text("queue_directory")} {}

    int start(bool foreground) {
        if (daemon::running_master(layout_)) program_.fatal("the mail system is already running");
        program_.log().info("starting the mail system");
        const std::string path = daemon_program();
        const std::string directory = config_.file().parent_path();
        const char* const detach = foreground ? nullptr : "-d";
        if (foreground) {
            ::execl(path.c_str(), "postriderd", "-c", directory.c_str(), detach);
            program_.fatal(system_error("run " + path, errno).message);
        }
        const pid_t child = ::fork();
        if (child < 0) program_.fatal(system_error("start a process", errno).message);
        if (child == 0) {
            ::execl(path.c_str(), "postriderd", "-c", directory.c_str(), detach, nullptr);
            std::fprintf(stderr, "%s\n", system_error("run " + path, errno).message.c_str());
            ::_exit(1);
        }
        // With -d the daemon's first process ends when the others serve, or says why they cannot.
        int status = 0;
        ::waitpid(child, &status, 0);
        return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
    }

    int stop() {
        const pid_t master = master_or_fatal();
        program_.log().info("stopping the mail system");
        signal_master(master, SIGTERM);
        // Deliveries under way are finished; they have 30 s, and the rest of a minute is reserve.
        for (int tenths = 0; tenths < 600; ++tenths) {
            if (!daemon::running_master(layout_)) return 0;
            std::this_thread::sleep_for(std::chrono::milliseconds(100));
        }
        program_.fatal(fmt::format("process {} has not stopped within a minute", master));
    }

    int reload() {
        const pid_t master = master_or_fatal();
        program_.log().info("refreshing the mail system");
        signal_master(master, SIGHUP);
        return 0;
    }

    int status(bool as_json) {
        const auto master = daemon::running_master(layout_);
        nlohmann::json status = nlohmann::json::object();
        const bool may_run = master || master.error().code != ErrorCode::NotFound;
        if (may_run) status = ask_status();
        // To those who may not look at the pid the daemon says that it is there by answering.
        const bool runs = master || !status.empty();
        if (as_json) {
            status["running"] = runs;
            if (master) status["pid"] = *master;
            fmt::print("{}\n", status.dump(2));
            return runs ? 0 : 1;
        }
        if (!runs) {
            program_.log().info("the mail system is not running");
            return 1;
        }
        program_.log().info(master ? fmt::format("the mail system is running: PID: {}", *master)
                                   : std::string("the mail system is running"));
        show_status(status);
        return 0;
    }

    int flush() {
        control::Request request;
        request.operation = control::Operation::Flush;
        const auto done = ask_daemon(config_, request, [](std::string_view) { return true; });
        if (!done) program_.fatal("flush the mail queue: " + done.error().message);
        return 0;
    }

    int pause_or_resume(control::Operation operation, std::string next_hops) {
        control::Request request;
        request.operation = operation;
        request.site = std::move(next_hops);
        const auto done = ask_daemon(config_, request, [](std::string_view) { return true; });
        if (!done) program_.fatal(done.error().message);
        return 0;
    }

    /// The configuration has been read by now. What remains is to say what is odd about it, and to
    /// read all that a start reads: 1 if some of it cannot be used.
    int check() {
        for (const std::string& warning : config_.warnings()) program_.log().warning(warning);
        const auto owner = daemon::find_owner(config_.text("mail_owner"));
        if (!owner) program_.fatal(owner.error().message);
        const Log log = program_.log();
        CountedWarnings warnings(log);
        const Log counted(warnings, "postrider");
        const daemon::Setup setup{config_, layout_, *owner};
        if (const auto all = daemon::gather(setup, counted); !all) {
            program_.fatal(all.error().message);
        }
        const auto cleanup = daemon::cleanup_options(config_, counted);
        (void)daemon::dialogue_options(config_, cleanup.rewrite, counted);
        (void)daemon::submission_options(config_, counted);
        (void)daemon::server_options(config_, counted);
        return warnings.count() == 0 ? 0 : 1;
    }

private:
    pid_t master_or_fatal() {
        const auto master = daemon::running_master(layout_);
        // Before the first start there is not even the file.
        const bool runs_not = !master && master.error().code == ErrorCode::NotFound;
        if (runs_not) program_.fatal("the mail system is not running");
        if (!master) program_.fatal(master.error().message);
        return *master;
    }

    void signal_master(pid_t master, int signal) {
        if (::kill(master, signal) < 0) {
            program_.fatal(system_error(fmt::format("tell process {}", master), errno).message);
        }
    }

    nlohmann::json ask_status() {
        control::Request request;
        request.operation = control::Operation::Status;
        nlohmann::json status = nlohmann::json::object();
        (void)ask_daemon(config_, request, [&](std::string_view line) {
            const nlohmann::json json = nlohmann::json::parse(line, nullptr, false);
            if (json.is_object() && json.contains("status")) status = json["status"];
            return true;
        });
        return status;
    }

    static void show_status(const nlohmann::json& status) {
        if (status.contains("queue")) {
            const nlohmann::json& queue = status["queue"];
            if (queue.contains("error")) {
                fmt::print("queue: {}\n", queue.value("error", ""));
            } else {
                fmt::print("queue: {} incoming, {} active, {} deferred, {} on hold, {} dead\n",
                           queue.value("incoming", 0), queue.value("active", 0),
                           queue.value("deferred", 0), queue.value("hold", 0),
                           queue.value("dead", 0));
            }
        }
        const nlohmann::json none = nlohmann::json::array();
        for (const auto& each : status.value("destinations", none)) {
            const bool offline = each.value("state", "") == "offline";
            fmt::print("{}:{} {} sent, {} deferred, {} bounced since the last start or reload\n",
                       printable(each.value("name", "")),
                       offline ? " offline, waiting for the network;" : "", each.value("sent", 0),
                       each.value("deferred", 0), each.value("bounced", 0));
        }
        for (const auto& each : status.value("accounts", none)) show_trouble(each);
        for (const auto& each : status.value("dangers", none)) {
            if (each.is_string()) fmt::print("danger: {}\n", printable(each.get<std::string>()));
        }
    }

    /// What a server said is shown so that it cannot speak to the terminal.
    static void show_trouble(const nlohmann::json& each) {
        fmt::print("{}: {} since {}, {} messages wait\n", printable(each.value("name", "")),
                   each.value("trouble", ""), calendar_text(each, "since"),
                   each.value("waiting", 0));
        fmt::print("    {}\n", printable(each.value("reason", "")));
        if (each.contains("next_attempt")) {
            fmt::print("    next attempt: {}\n", calendar_text(each, "next_attempt"));
        }
        const std::string advice = each.value("advice", "");
        if (!advice.empty()) fmt::print("    what to do: {}\n", printable(advice));
    }

    static std::string calendar_text(const nlohmann::json& json, const char* member) {
        const std::time_t time = json.value(member, std::int64_t{0});
        std::tm parts{};
        ::localtime_r(&time, &parts);
        char text[32];
        std::strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S", &parts);
        return text;
    }

    Program& program_;
    const config::Config& config_;
    daemon::Layout layout_;
};

}  // namespace

int operate(int argc, char** argv) {
    Program program("postrider", 1);
    std::string directory;
    bool is_understood = true;
    for (int option; (option = ::getopt(argc, argv, "+c:Dv")) != -1;) {
        if (option == 'c') directory = ::optarg;
        if (option == '?') is_understood = false;
    }
    const std::string_view command = ::optind < argc ? argv[::optind] : "";
    const std::string argument = ::optind + 1 < argc ? argv[::optind + 1] : "";
    const bool takes_argument =
        command == "pause" || command == "resume" || (command == "status" && argument == "-j");
    const bool is_whole = ::optind + 1 == argc || (takes_argument && ::optind + 2 == argc);
    if (!is_understood || !is_whole || !is_command(command)) {
        if (!command.empty() && !is_command(command)) {
            fmt::print(stderr, "postrider: unknown command: {}\n", command);
        } else if (is_understood && !command.empty()) {
            fmt::print(stderr, "postrider: {} does not take \"{}\"; options stand before it\n",
                       command, argv[::optind + (takes_argument ? 2 : 1)]);
        }
        fmt::print(stderr, "{}", kUsage);
        return 1;
    }
    Operator op(program, program.load_config(directory));
    if (command == "start") return op.start(false);
    if (command == "start-fg") return op.start(true);
    if (command == "stop" || command == "abort") return op.stop();
    if (command == "reload") return op.reload();
    if (command == "status") return op.status(!argument.empty());
    if (command == "flush") return op.flush();
    if (command == "pause") return op.pause_or_resume(control::Operation::Pause, argument);
    if (command == "resume") return op.pause_or_resume(control::Operation::Resume, argument);
    return op.check();
}

}  // namespace postrider::apps
