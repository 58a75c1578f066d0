#include "world.h"

#include <algorithm>

#include <fmt/format.h>

#include "core/check.h"

namespace postrider::simulation {

Process::Process(World& world, std::string name) : world_(world), name_(std::move(name)) {
    world_.processes_.push_back(this);
}

Process::~Process() {
    std::erase(world_.processes_, this);
}

std::size_t Process::turn(std::size_t handlers_max) {
    if (frozen_) return 0;
    loop_.restart();
    std::size_t ran = 0;
    while (ran < handlers_max && loop_.poll_one() > 0) ++ran;
    return ran;
}

World::World(std::uint64_t seed, std::FILE* transcript)
    : random_(seed), transcript_(transcript), begun_(virtual_time::now()), outside_(*this, "net") {}

void World::at(MonotonicTime when, std::function<void()> what) {
    events_.push({when, event_count_++, std::move(what)});
}

bool World::run_until(const std::function<bool()>& done, MonotonicTime limit) {
    while (!done()) {
        if (turn_all()) continue;
        if (now() > limit || steps_ > kStepsMax || !jump()) return done();
    }
    return true;
}

/// Every process gets a few handlers' time, in an order of its own each round. False if none had
/// anything to do.
bool World::turn_all() {
    std::size_t ran = 0;
    std::vector<Process*> order = processes_;
    std::shuffle(order.begin(), order.end(), random_);
    for (Process* process : order) {
        // What ran before may have ended others.
        if (std::find(processes_.begin(), processes_.end(), process) == processes_.end()) continue;
        const std::size_t here = process->turn(1 + below(16));
        ran += here;
        if (here > 0 && between_turns) between_turns();
    }
    steps_ += ran;
    return ran > 0;
}

bool World::jump() {
    const MonotonicTime next = std::min(events_.empty() ? MonotonicTime::max() : events_.top().when,
                                        virtual_time::next_timer());
    if (next == MonotonicTime::max()) return false;
    virtual_time::advance_to(next);
    while (!events_.empty() && events_.top().when <= now()) {
        const auto what = events_.top().what;
        events_.pop();
        ++steps_;
        what();
    }
    return true;
}

void World::note(std::string_view who, std::string_view text) {
    const auto time = elapsed().count();
    const std::string line =
        fmt::format("{:>6}.{:06} {}: {}\n", time / 1'000'000, time % 1'000'000, who, text);
    for (const char c : line) {
        hash_ = (hash_ ^ static_cast<unsigned char>(c)) * 0x100000001b3;
    }
    if (transcript_ != nullptr) std::fputs(line.c_str(), transcript_);
}

void World::fault(std::string_view kind, std::string_view details) {
    ++faults_[std::string(kind)];
    note("FAULT", details.empty() ? std::string(kind) : fmt::format("{}: {}", kind, details));
}

}  // namespace postrider::simulation
