// What everything in one simulated world shares: chance, time, the order of events, the record.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <functional>
#include <map>
#include <queue>
#include <random>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/io_context.hpp>

#include "core/clock.h"
#include "virtual_time.h"

namespace postrider::simulation {

class World;

/// One event loop: a process of ours, or the outside. It can be stopped and continued like one.
class Process {
public:
    Process(World&, std::string name);
    ~Process();
    Process(const Process&) = delete;
    Process& operator=(const Process&) = delete;

    boost::asio::any_io_executor executor() { return loop_.get_executor(); }
    const std::string& name() const { return name_; }
    /// As SIGKILL does: what waits in the loop is destroyed where it stands.
    void kill() { loop_.shutdown(); }
    /// As SIGSTOP and SIGCONT do.
    void freeze(bool frozen) { frozen_ = frozen; }
    bool is_frozen() const { return frozen_; }
    /// Runs at most `handlers_max` handlers that are ready; how many it ran.
    std::size_t turn(std::size_t handlers_max);

private:
    struct Loop : boost::asio::io_context {
        Loop() : io_context(1) {}
        using io_context::execution_context::shutdown;
    };
    friend class World;
    World& world_;
    std::string name_;
    Loop loop_;
    bool frozen_ = false;
};

/// Everything happens in one thread. When no process has anything to do, time jumps to the next
/// event. All chance comes from the seed, so the same seed is the same story, to the last byte.
class World {
public:
    /// `transcript` is written to as things happen; may be null.
    World(std::uint64_t seed, std::FILE* transcript);

    std::mt19937_64& random() { return random_; }
    /// From 0 to n - 1.
    std::uint64_t below(std::uint64_t n) { return random_() % n; }
    bool chance(double probability) {
        return static_cast<double>(random_() >> 11) * 0x1p-53 < probability;
    }
    Duration between(Duration low, Duration high) {
        return low + Duration(static_cast<std::int64_t>(
                         below(static_cast<std::uint64_t>((high - low).count()) + 1)));
    }

    MonotonicTime now() const { return virtual_time::now(); }
    /// Since the beginning of the world.
    Duration elapsed() const { return std::chrono::duration_cast<Duration>(now() - begun_); }
    /// Called from no process, in order of time.
    void at(MonotonicTime, std::function<void()>);
    void after(Duration delay, std::function<void()> what) { at(now() + delay, std::move(what)); }

    /// The loop of clients, of the smarthost, and of what connects processes.
    Process& outside() { return outside_; }

    /// Goes on until `done`, or until nothing can happen any more, or beyond a bound. False if it
    /// did not come to `done`.
    bool run_until(const std::function<bool()>& done, MonotonicTime limit);
    /// Called after the turn of each process: processes may be destroyed and made in it.
    std::function<void()> between_turns;
    std::uint64_t steps() const { return steps_; }

    /// A line of the transcript.
    void note(std::string_view who, std::string_view text);
    /// Of the transcript so far.
    std::uint64_t transcript_hash() const { return hash_; }
    /// A fault has been injected.
    void fault(std::string_view kind, std::string_view details = {});
    const std::map<std::string, std::uint64_t, std::less<>>& faults() const { return faults_; }
    /// Nothing harmful happens any more.
    bool calm = false;

    static constexpr std::uint64_t kStepsMax = 5'000'000;

private:
    friend class Process;
    struct Event {
        MonotonicTime when;
        std::uint64_t number;
        std::function<void()> what;
        bool operator<(const Event& other) const {
            return std::tie(other.when, other.number) < std::tie(when, number);
        }
    };
    bool turn_all();
    bool jump();

    std::mt19937_64 random_;
    std::FILE* transcript_;
    MonotonicTime begun_;
    std::priority_queue<Event> events_;
    std::uint64_t event_count_ = 0;
    std::uint64_t steps_ = 0;
    std::uint64_t hash_ = 0xcbf29ce484222325;
    std::map<std::string, std::uint64_t, std::less<>> faults_;
    std::vector<Process*> processes_;
    Process outside_;
};

}  // namespace postrider::simulation
