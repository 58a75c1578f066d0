// Runs seeds, many at a time, and tells what the bad ones were.
//
//   simulate [--seeds N] [--first N] [--jobs N]     seeds from the first on
//   simulate --seed N [--trace]                     one of them, with its transcript
//   simulate --control NAME [--seeds N]             the program is made wrong: a seed must see it
#include <algorithm>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include "plan.h"
#include "story.h"

namespace postrider::simulation {
namespace {

/// Real time that one seed may take before it is taken to hang.
constexpr unsigned kRealSecondsMax = 100;
/// Every so many seeds one is played twice, to see that it is the same story.
constexpr std::uint64_t kTwiceEach = 50;
constexpr std::size_t kFailuresShown = 5;

const std::map<std::string, Control> kControls = {
    {"none", Control::None},
    {"lying-disk", Control::LyingDisk},
    {"early-answer", Control::EarlyAnswer},
    {"lost-reports", Control::LostReports},
    {"taken-twice", Control::TakenTwice},
};

/// A folder in memory if there is one, removed at the end.
class Folder {
public:
    Folder() {
        const bool in_memory = ::access("/dev/shm", W_OK) == 0;
        std::string path = in_memory ? "/dev/shm" : std::filesystem::temp_directory_path().string();
        path += "/postrider-simulation-XXXXXX";
        if (::mkdtemp(path.data()) == nullptr) {
            std::perror("mkdtemp");
            std::exit(2);
        }
        path_ = path;
    }
    ~Folder() {
        std::error_code ignored;
        std::filesystem::remove_all(path_, ignored);
    }
    Folder(const Folder&) = delete;
    Folder& operator=(const Folder&) = delete;
    const std::string& path() const { return path_; }

private:
    std::string path_;
};

double real_seconds() {
    timespec now{};
    ::clock_gettime(CLOCK_MONOTONIC, &now);
    return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
}

/// As lines, for the parent.
std::string encode(const Outcome& outcome) {
    std::string text =
        fmt::format("T {} {} {} {} {} {}\n", outcome.transcript_hash, outcome.steps,
                    outcome.submitted, outcome.accepted, outcome.stored, outcome.reports);
    for (const auto& [kind, count] : outcome.faults) text += fmt::format("F {} {}\n", count, kind);
    for (std::string violation : outcome.violations) {
        std::replace(violation.begin(), violation.end(), '\n', ' ');
        text += "V " + violation.substr(0, 500) + "\n";
    }
    return text;
}

Outcome decode(const std::string& text) {
    Outcome outcome;
    std::size_t begin = 0;
    while (begin < text.size()) {
        const std::size_t end = std::min(text.find('\n', begin), text.size());
        const std::string line = text.substr(begin, end - begin);
        begin = end + 1;
        if (line.size() < 2) continue;
        const std::string rest = line.substr(2);
        if (line[0] == 'V') outcome.violations.push_back(rest);
        if (line[0] == 'F') {
            char* kind = nullptr;
            const auto count = std::strtoull(rest.c_str(), &kind, 10);
            outcome.faults[std::string(kind + 1)] += count;
        }
        if (line[0] == 'T') {
            char* at = const_cast<char*>(rest.c_str());
            for (auto* value : {&outcome.transcript_hash, &outcome.steps, &outcome.submitted,
                                &outcome.accepted, &outcome.stored, &outcome.reports}) {
                *value = std::strtoull(at, &at, 10);
            }
        }
    }
    return outcome;
}

/// One seed in a process of its own, which always begins in the same state.
struct Run {
    std::uint64_t seed = 0;
    bool again = false;  ///< For the second time.
    pid_t process = 0;
    int pipe = -1;
    std::string said;
};

/// The queue is in the working directory: its path stands in messages, and so in the transcript.
void enter(const std::string& directory) {
    std::filesystem::create_directory(directory);
    std::filesystem::current_path(directory);
}

[[noreturn]] void be_child(const Plan& plan, const std::string& directory, int pipe) {
    ::alarm(kRealSecondsMax);
    const std::string own = fmt::format("{}/{}", directory, ::getpid());
    enter(own);
    const std::string said = encode(play(plan, nullptr));
    std::error_code ignored;
    std::filesystem::remove_all(own, ignored);
    const bool told = ::write(pipe, said.data(), said.size()) == static_cast<ssize_t>(said.size());
    ::_exit(told ? 0 : 3);
}

Run begin(std::uint64_t seed, Control control, bool again, const std::string& directory) {
    Run run;
    run.seed = seed;
    run.again = again;
    int ends[2];
    if (::pipe(ends) != 0) {
        std::perror("pipe");
        std::exit(2);
    }
    run.process = ::fork();
    if (run.process < 0) {
        std::perror("fork");
        std::exit(2);
    }
    if (run.process == 0) {
        ::close(ends[0]);
        be_child(Plan::make(seed, control), directory, ends[1]);
    }
    ::close(ends[1]);
    run.pipe = ends[0];
    return run;
}

Outcome finish(Run& run) {
    ::close(run.pipe);
    int status = 0;
    while (::waitpid(run.process, &status, 0) < 0 && errno == EINTR) {
    }
    Outcome outcome = decode(run.said);
    if (WIFSIGNALED(status)) {
        outcome.violations.push_back(WTERMSIG(status) == SIGALRM
                                         ? fmt::format("hangs for {} s", kRealSecondsMax)
                                         : fmt::format("dies: {}", strsignal(WTERMSIG(status))));
    } else if (WEXITSTATUS(status) != 0) {
        outcome.violations.push_back(fmt::format("ends with status {}", WEXITSTATUS(status)));
    }
    return outcome;
}

/// What all seeds together came to.
class Tally {
public:
    void add(const Outcome& outcome) {
        ++seeds;
        for (const auto& [kind, count] : outcome.faults) faults_[kind] += count;
        steps_ += outcome.steps;
        accepted_ += outcome.accepted;
        submitted_ += outcome.submitted;
        stored_ += outcome.stored;
        reports_ += outcome.reports;
    }
    std::uint64_t fault_count() const {
        std::uint64_t sum = 0;
        for (const auto& [kind, count] : faults_) sum += count;
        return sum;
    }
    std::uint64_t accepted() const { return accepted_; }
    void print(double seconds) const {
        fmt::print(
            "{} seeds in {:.1f} s ({:.0f}/s): {} messages offered, {} accepted, {} copies "
            "at the smarthost, {} reports, {} steps\n{} faults:\n",
            seeds, seconds, static_cast<double>(seeds) / seconds, submitted_, accepted_, stored_,
            reports_, steps_, fault_count());
        for (const auto& [kind, count] : faults_) fmt::print("  {:>9} {}\n", count, kind);
    }
    std::uint64_t seeds = 0;

private:
    std::map<std::string, std::uint64_t, std::less<>> faults_;
    std::uint64_t steps_ = 0, submitted_ = 0, accepted_ = 0, stored_ = 0, reports_ = 0;
};

struct Request {
    std::uint64_t first = 1;
    std::uint64_t seeds = 1000;
    std::size_t jobs = 2;
    Control control = Control::None;
};

class Runner {
public:
    explicit Runner(const Request& request) : request_(request), next_(request.first) {}

    /// How many seeds failed.
    std::uint64_t run() {
        const double begun = real_seconds();
        double shown = begun;
        const bool is_terminal = ::isatty(STDERR_FILENO) != 0;
        while (!stopped() || !running_.empty()) {
            while (running_.size() < request_.jobs && !stopped()) begin_next();
            wait();
            if (is_terminal && real_seconds() > shown + 0.5) {
                shown = real_seconds();
                fmt::print(stderr, "\r{} seeds, {:.0f}/s, {} faults injected, {} failed ",
                           tally_.seeds, static_cast<double>(tally_.seeds) / (shown - begun),
                           tally_.fault_count(), failed_);
            }
        }
        if (is_terminal) fmt::print(stderr, "\n");
        tally_.print(real_seconds() - begun);
        return failed_;
    }

    std::uint64_t accepted() const { return tally_.accepted(); }

private:
    bool stopped() const {
        const bool enough =
            request_.control != Control::None ? failed_ > 0 : failed_ >= kFailuresShown;
        return enough || next_ >= request_.first + request_.seeds;
    }

    void begin_next() {
        const bool again = std::exchange(again_, false);
        running_.push_back(begin(next_, request_.control, again, folder_.path()));
        again_ = !again && next_ % kTwiceEach == 0 && request_.control == Control::None;
        if (!again_) ++next_;
    }

    void wait() {
        std::vector<pollfd> polls;
        for (const Run& run : running_) polls.push_back({run.pipe, POLLIN, 0});
        if (::poll(polls.data(), polls.size(), 1000) <= 0) return;
        for (std::size_t i = polls.size(); i-- > 0;) {
            if (polls[i].revents == 0) continue;
            char some[4096];
            const ssize_t count = ::read(running_[i].pipe, some, sizeof some);
            if (count > 0) {
                running_[i].said.append(some, static_cast<std::size_t>(count));
                continue;
            }
            take(running_[i].seed, finish(running_[i]));
            running_.erase(running_.begin() + static_cast<std::ptrdiff_t>(i));
        }
    }

    void take(std::uint64_t seed, Outcome outcome) {
        if (seed % kTwiceEach == 0 && request_.control == Control::None) {
            const auto [place, is_first] = hashes_.try_emplace(seed, outcome.transcript_hash);
            if (!is_first && place->second != outcome.transcript_hash) {
                outcome.violations.emplace_back("two runs of this seed differ");
            }
        }
        tally_.add(outcome);
        if (outcome.violations.empty()) return;
        ++failed_;
        fmt::print("\nFAILED {}", Plan::make(seed, request_.control).words());
        for (const std::string& one : outcome.violations) fmt::print("  {}\n", one);
        fmt::print("  again, with its transcript: simulate --seed {} --trace\n", seed);
        std::fflush(stdout);
    }

    const Request request_;
    Folder folder_;
    std::uint64_t next_;
    bool again_ = false;
    std::vector<Run> running_;
    std::map<std::uint64_t, std::uint64_t> hashes_;
    Tally tally_;
    std::uint64_t failed_ = 0;
};

int play_one(std::uint64_t seed, Control control, bool trace) {
    const Folder folder;
    const Plan plan = Plan::make(seed, control);
    fmt::print("{}", plan.words());
    std::fflush(stdout);
    enter(folder.path() + "/queue");
    const Outcome outcome = play(plan, trace ? stdout : nullptr);
    for (const std::string& one : outcome.violations) fmt::print("VIOLATION: {}\n", one);
    fmt::print("seed {}: {} steps, {} accepted, transcript {:016x}: {}\n", seed, outcome.steps,
               outcome.accepted, outcome.transcript_hash,
               outcome.violations.empty() ? "ok" : "FAILED");
    return outcome.violations.empty() ? 0 : 1;
}

int main_of(int argc, char** argv) {
    ::setenv("TZ", "UTC", 1);
    ::signal(SIGPIPE, SIG_IGN);
    CLI::App app{"Plays seeds of the simulated world."};
    Request request;
    std::optional<std::uint64_t> seed;
    bool trace = false;
    std::string control = "none";
    app.add_option("--seeds", request.seeds, "how many");
    app.add_option("--first", request.first, "the first of them");
    app.add_option("--jobs", request.jobs, "how many at a time");
    app.add_option("--seed", seed, "play this one alone");
    app.add_flag("--trace", trace, "and show its transcript");
    app.add_option("--control", control, "make the program wrong: a seed must see it")
        ->check(CLI::IsMember(kControls));
    CLI11_PARSE(app, argc, argv);
    request.control = kControls.at(control);
    request.jobs = std::max<std::size_t>(request.jobs, 1);
    if (seed) return play_one(*seed, request.control, trace);
    Runner runner(request);
    const std::uint64_t failed = runner.run();
    if (runner.accepted() == 0) {
        fmt::print("no message was accepted: nothing is proven\n");
        return 1;
    }
    if (request.control == Control::None) return failed == 0 ? 0 : 1;
    fmt::print("control {}: {}\n", control, failed > 0 ? "found" : "NOT FOUND");
    return failed > 0 ? 0 : 1;
}

}  // namespace
}  // namespace postrider::simulation

int main(int argc, char** argv) {
    return postrider::simulation::main_of(argc, argv);
}
