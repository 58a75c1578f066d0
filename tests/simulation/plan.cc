#include "plan.h"

#include <algorithm>
#include <array>
#include <random>

#include <fmt/format.h>

namespace postrider::simulation {
namespace {

using namespace std::chrono_literals;

constexpr std::array<std::string_view, kMischiefCount> kMischiefs = {
    "refuses connections",
    "says 421",
    "says 4xx",
    "says 5xx",
    "says that the quota is exhausted",
    "says 452 when a transaction has recipients enough",
    "refuses the login",
    "refuses every recipient and says 354 all the same",
    "closes instead of answering",
    "stores the message and closes before answering",
    "never answers",
    "answers late",
    "says more than it was asked",
    "leaves out an answer",
    "says differing codes in one reply",
    "says thousands of lines",
    "says a line of thousands of bytes",
    "says several lines",
    "says what is no reply",
    "offers something else in each session",
    "loses the connection at some byte",
    "closes idle connections",
};

constexpr std::array<std::string_view, kFaultCount> kFaults = {
    "kill courier",
    "kill intake",
    "power cut",
    "kill courier inside a write",
    "kill courier inside a sync",
    "power cut inside a sync",
    "write error once",
    "write errors for good",
    "sync error once",
    "sync errors for good",
    "disk full",
    "slow disk",
    "clock forward",
    "clock back",
    "freeze courier",
    "freeze intake",
    "reload courier",
    "reload intake",
    "hold",
    "release",
    "delete",
    "flush",
    "expire",
};

std::string seconds(Duration time) {
    return fmt::format("{:.3f} s", static_cast<double>(time.count()) / 1e6);
}

class Maker {
public:
    explicit Maker(std::uint64_t seed) : random_(seed ^ 0x9e3779b97f4a7c15) {}

    std::uint64_t below(std::uint64_t n) { return random_() % n; }
    bool chance(double probability) {
        return static_cast<double>(random_() >> 11) * 0x1p-53 < probability;
    }
    /// Small times are as likely as large ones.
    Duration time_up_to(Duration most) {
        const Duration limit(
            1 + static_cast<std::int64_t>(below(static_cast<std::uint64_t>(most.count()))));
        return Duration(
            static_cast<std::int64_t>(below(static_cast<std::uint64_t>(limit.count()))));
    }
    WireManner wire() {
        constexpr std::array<std::size_t, 5> kPieces = {1, 13, 200, 1460, 65536};
        constexpr std::array<std::size_t, 3> kWindows = {100, 4096, 65536};
        WireManner manner;
        manner.piece_max = kPieces[below(kPieces.size())];
        manner.window = kWindows[below(kWindows.size())];
        if (chance(0.2)) manner.latency_max = 300ms;
        if (chance(0.05)) manner.latency_max = 5s;
        return manner;
    }

private:
    std::mt19937_64 random_;
};

std::uint64_t argument_of(Fault fault, Maker& make) {
    switch (fault) {
        case Fault::KillAtWrite:
            return 1 + make.below(12);
        case Fault::KillAtSync:
        case Fault::CutPowerAtSync:
            return 1 + make.below(8);
        case Fault::WriteErrorOnce:
        case Fault::WriteErrorForGood:
            return 1 + make.below(12);
        case Fault::SyncErrorOnce:
        case Fault::SyncErrorForGood:
            return 1 + make.below(8);
        case Fault::DiskFull:
            return make.below(200'000);  // Bytes left.
        case Fault::SlowDisk:
            return 1 + make.below(2'000'000);  // Microseconds for one sync.
        case Fault::ClockForward:
        case Fault::ClockBack:
            return 1 + make.below(make.chance(0.2) ? 3'000'000 : 20'000);  // Seconds.
        case Fault::FreezeCourier:
        case Fault::FreezeIntake:
            return 1 + make.below(900);  // Seconds.
        case Fault::KillCourier:
        case Fault::KillIntake:
        case Fault::CutPower:
        case Fault::ReloadCourier:
        case Fault::ReloadIntake:
        case Fault::Hold:
        case Fault::Release:
        case Fault::Delete:
        case Fault::Flush:
        case Fault::Expire:
            return make.below(1000);
    }
    return 0;
}

}  // namespace

std::string_view to_string(Mischief mischief) {
    return kMischiefs[static_cast<std::size_t>(mischief)];
}

std::string_view to_string(Fault fault) {
    return kFaults[static_cast<std::size_t>(fault)];
}

Plan Plan::make(std::uint64_t seed, Control control) {
    Maker make(seed);
    Plan plan;
    plan.seed = seed;
    plan.control = control;
    plan.clients = 1 + static_cast<int>(make.below(5));
    plan.messages_max = 1 + static_cast<int>(make.below(4));
    plan.recipients_max = 1 + static_cast<int>(make.below(make.chance(0.1) ? 60 : 4));
    plan.arrivals = make.time_up_to(make.chance(0.3) ? Duration(1h) : Duration(20s));
    plan.wire = make.wire();
    plan.relay_wire = make.wire();
    if (make.chance(0.5)) plan.channel_piece_max = 1 + make.below(300);
    const bool large = make.chance(0.08);
    if (large) {
        // Content in several pieces, some of them in a file; byte by byte would take for ever.
        plan.content_max = 500'000;
        for (WireManner* each : {&plan.wire, &plan.relay_wire}) {
            each->piece_max = std::max<std::size_t>(each->piece_max, 1460);
            each->window = std::max<std::size_t>(each->window, 4096);
        }
        plan.channel_piece_max = std::max<std::size_t>(plan.channel_piece_max, 2000);
    }
    if (make.chance(0.4)) plan.client_trouble = 0.5 * static_cast<double>(make.below(100)) / 100;

    // A few kinds of mischief each time, so that each gets its turn alone and with others.
    const std::uint64_t kinds = make.chance(0.2) ? 0 : 1 + make.below(4);
    for (std::uint64_t i = 0; i < kinds; ++i) {
        const auto kind = make.below(kMischiefCount);
        plan.mischief[kind] = 0.01 + 0.4 * static_cast<double>(make.below(100)) / 100;
    }
    const std::uint64_t faults = make.chance(0.2) ? 0 : make.below(6);
    const Duration horizon = std::max<Duration>(plan.arrivals * 2, 30s);
    for (std::uint64_t i = 0; i < faults; ++i) {
        PlannedFault planned;
        planned.fault = static_cast<Fault>(make.below(kFaultCount));
        planned.when = make.time_up_to(horizon);
        planned.argument = argument_of(planned.fault, make);
        plan.faults.push_back(planned);
    }
    std::sort(plan.faults.begin(), plan.faults.end(),
              [](const auto& a, const auto& b) { return a.when < b.when; });
    plan.calm = horizon + make.time_up_to(2h);
    return plan;
}

std::string Plan::words() const {
    const auto wire_words = [](const WireManner& manner) {
        return fmt::format("pieces up to {} bytes, window {}, up to {} late", manner.piece_max,
                           manner.window, seconds(manner.latency_max));
    };
    std::string text = fmt::format(
        "seed {}: {} clients, up to {} messages each, up to {} recipients, content up to {} bytes, "
        "within {}\n",
        seed, clients, messages_max, recipients_max, content_max, seconds(arrivals));
    text += fmt::format("  clients: {}; trouble with {:.0f}% of messages\n", wire_words(wire),
                        100 * client_trouble);
    text += fmt::format("  smarthost: {}\n", wire_words(relay_wire));
    for (int i = 0; i < kMischiefCount; ++i) {
        if (mischief[i] > 0) {
            text += fmt::format("    {} ({:.0f}%)\n", to_string(static_cast<Mischief>(i)),
                                100 * mischief[i]);
        }
    }
    for (const PlannedFault& one : faults) {
        text += fmt::format("  at {}: {} ({})\n", seconds(one.when), to_string(one.fault),
                            one.argument);
    }
    return text + fmt::format("  calm from {}\n", seconds(calm));
}

}  // namespace postrider::simulation
