#include "story.h"

#include <fmt/format.h>

#include "clients.h"
#include "ledger.h"
#include "machine.h"
#include "smarthost.h"
#include "wire.h"
#include "world.h"

namespace postrider::simulation {
namespace {

using namespace std::chrono_literals;

/// When all trouble is over, everything that waits has been tried again within this time: the
/// longest pause of an account, the longest backoff, and their sum again for reports.
constexpr auto kDrainMax = 12h;
constexpr auto kDrainLook = 5min;

class Story {
public:
    Story(const Plan& plan, std::FILE* transcript)
        : world_(plan.seed, transcript),
          plan_(plan),
          ledger_(world_),
          smarthost_(world_, plan_, ledger_),
          machine_(world_, plan_, ledger_, smarthost_),
          clients_(world_, plan_, ledger_,
                   [this](WireManner manner) { return machine_.connect(manner); }) {}

    Outcome play() {
        machine_.start();
        clients_.start();
        let_pass(plan_.calm);
        machine_.calm();
        drain();
        end();
        Outcome outcome;
        outcome.violations = ledger_.violations();
        outcome.faults = world_.faults();
        outcome.transcript_hash = world_.transcript_hash();
        outcome.steps = world_.steps();
        outcome.submitted = ledger_.submitted_count();
        outcome.accepted = ledger_.accepted_count();
        outcome.stored = ledger_.stored_count();
        outcome.reports = ledger_.report_count();
        return outcome;
    }

private:
    void let_pass(Duration time) {
        bool over = false;
        world_.after(time, [&over] { over = true; });
        if (!world_.run_until([&over] { return over; }, MonotonicTime::max())) {
            ledger_.violation(fmt::format("no end after {} steps", world_.steps()));
        }
    }
    bool failed() const { return !ledger_.violations().empty(); }

    /// Everybody has said what they wanted, and everything has found its end.
    void drain() {
        const MonotonicTime limit = world_.now() + kDrainMax;
        while (!failed() && world_.now() < limit) {
            let_pass(kDrainLook);
            if (!clients_.are_done() || !machine_.release_all()) continue;
            if (!machine_.is_drained()) continue;
            if (!machine_.list_into_ledger()) continue;
            return ledger_.balance();
        }
        if (!failed()) ledger_.violation("the queue is not drained in time");
    }

    void end() {
        machine_.shut_down();
        const bool ended =
            world_.run_until([this] { return machine_.is_down() && smarthost_.sessions() == 0; },
                             world_.now() + 10min);
        if (!ended) {
            ledger_.violation(
                fmt::format("does not end: {} sessions at the smarthost", smarthost_.sessions()));
        } else if (Wire::open_ends() != 0) {
            ledger_.violation(fmt::format("{} connections left open", Wire::open_ends()));
        }
    }

    World world_;
    const Plan& plan_;
    Ledger ledger_;
    Smarthost smarthost_;
    Machine machine_;
    Clients clients_;
};

}  // namespace

Outcome play(const Plan& plan, std::FILE* transcript) {
    Story story(plan, transcript);
    return story.play();
}

}  // namespace postrider::simulation
