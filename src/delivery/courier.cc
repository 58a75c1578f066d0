#include "delivery/courier.h"

#include <algorithm>
#include <set>
#include <utility>

#include <fmt/format.h>

#include "core/ascii.h"
#include "delivery/attempt.h"
#include "delivery/depot.h"

namespace postrider::delivery {

namespace {

using namespace std::chrono_literals;

constexpr std::size_t kLeaseBatch = 50;
// The calendar may jump, so it is looked at again now and then even if nothing is due.
constexpr auto kSleepMax = 600s;
constexpr auto kQueueTroublePause = 5s;

// The peers' patience with a silent connection, and that of the routers on the way, ends sooner.
constexpr auto kSleepOfConnections = 60s;
// Mail that came of age without a network is tried for so long before it is returned.
constexpr std::chrono::seconds kTrialAfterOutage = 1h;

}  // namespace

struct Courier::State {
    State(const Options& options, const Maps& maps, queue::Queue& queue, Dialler& dialler,
          const Clock& clock, const Ages& ages, boost::asio::any_io_executor executor,
          const Log& log)
        : depot(options, maps, queue, dialler, clock, ages, executor, log),
          attempt_ended(executor),
          run_ended(executor) {}

    Depot depot;
    std::set<Attempt*> attempts;
    net::Event attempt_ended, run_ended;
    bool running = false;
    bool taken_up = false;  // The accounts, as the last process left them.

    net::Awaitable<void> run();
    net::Awaitable<MonotonicTime> look();
    net::Awaitable<MonotonicTime> take_due();
    net::Awaitable<void> attend(queue::Lease lease);
    net::Awaitable<void> warm_up(std::string next_hops);
    net::Awaitable<void> stop();
    net::Awaitable<void> finish_recording();
    net::Awaitable<void> make_all_due();
    void retry_all();
    bool must_finish() const;
    void look_again() {
        depot.lanes.wake_all();
        depot.due.set();
    }
};

net::Awaitable<void> Courier::State::run() {
    running = true;
    depot.tasks.spawn(depot.connections.retire_idle(), "idle connections");
    depot.tasks.spawn_vital(depot.summaries.run(), "summaries");
    while (!depot.gate.stopping) {
        depot.due.reset();
        const MonotonicTime wake = co_await look();
        if (depot.gate.stopping) break;
        const auto waited = co_await depot.due.wait(wake);
        if (!waited && waited.error().code == ErrorCode::Cancelled) break;
    }
    running = false;
    run_ended.set();
}

// Returns when to look again, unless told earlier.
net::Awaitable<MonotonicTime> Courier::State::look() {
    if (!taken_up) {
        // Without it, logins that have been refused would be tried again.
        const auto known = co_await depot.keeper.take_up();
        if (!known) {
            depot.qmgr_log.warning(known.error().message);
            co_return depot.clock.monotonic() + kQueueTroublePause;
        }
        taken_up = true;
    }
    const WallTime probe = co_await depot.keeper.probe_due();
    const MonotonicTime wake = co_await take_due();
    const Duration away =
        std::clamp<Duration>(probe - depot.clock.now(), Duration(10ms), Duration(kSleepMax));
    co_return std::min<MonotonicTime>(wake, depot.clock.monotonic() + away);
}

// Starts what is due, as far as there is room.
net::Awaitable<MonotonicTime> Courier::State::take_due() {
    const Clock& clock = depot.clock;
    const std::size_t room_max = depot.options.active_message_max;
    while (!depot.gate.stopping && depot.gate.unsettled == 0 && attempts.size() < room_max) {
        const std::size_t limit = std::min(room_max - attempts.size(), kLeaseBatch);
        auto leases = co_await depot.queue.lease_due(limit);
        if (!leases) {
            depot.qmgr_log.warning(leases.error().message);
            co_return clock.monotonic() + kQueueTroublePause;
        }
        for (queue::Lease& one : *leases) {
            const std::string name = one.id.str();
            // A lease that nobody attends to would be stuck until the next start.
            depot.tasks.spawn_vital(attend(std::move(one)), name);
        }
        if (leases->size() == limit) continue;
        const auto next = co_await depot.queue.next_due();
        if (!next || !*next) break;
        const Duration away =
            std::clamp<Duration>(**next - clock.now(), Duration(10ms), Duration(kSleepMax));
        co_return clock.monotonic() + away;
    }
    co_return clock.monotonic() + kSleepMax;
}

// A lease as a task of its own.
net::Awaitable<void> Courier::State::attend(queue::Lease lease) {
    Attempt attempt(depot, std::move(lease));
    attempts.insert(&attempt);
    co_await attempt.run();
    attempts.erase(&attempt);
    attempt_ended.set();
    depot.due.set();
}

net::Awaitable<void> Courier::State::warm_up(std::string next_hops) {
    Lane& lane = depot.lanes.to(next_hops);
    const mail::Address nobody;
    const KnownLogin login = depot.logins.find(next_hops, nobody);
    const WallTime begun = depot.clock.now();
    {
        LoginTurns::Pass pass(depot.login_turns, login.account, false);
        DialRequest request(next_hops, true);
        request.gate = &pass;
        Dialled dialled = co_await depot.connections.dial(std::move(request));
        lane.warming = false;
        if (dialled.session) {
            lane.congestion.connected();
            depot.connections.give_back(next_hops, nobody, std::move(dialled.session));
        } else if (dialled.trouble.reach == Reach::Account && !pass.was_barred()) {
            depot.learn_from_dialling(lane, login, dialled.trouble, begun);
        }
    }
    // Other trouble is the first message's to meet and to report.
    lane.wake_all();
}

net::Awaitable<void> Courier::State::make_all_due() {
    const auto flushed = co_await depot.queue.flush(std::nullopt);
    if (!flushed) depot.qmgr_log.warning(flushed.error().message);
}

// Another network may do what the last one did not.
void Courier::State::retry_all() {
    depot.gate.no_expiry_until =
        depot.clock.now() + std::min(kTrialAfterOutage, depot.options.retry.maximal_queue_lifetime);
    depot.keeper.try_now(false);
    look_again();
    depot.tasks.spawn(make_all_due(), "retry after a change of the network");
}

bool Courier::State::must_finish() const {
    return std::any_of(attempts.begin(), attempts.end(),
                       [](const Attempt* one) { return one->must_finish(); });
}

// An outcome is a fact (R6): what the store has not taken yet would be sent again by the successor,
// who could not open that store either. Whoever cannot wait kills the process.
net::Awaitable<void> Courier::State::finish_recording() {
    bool told = false;
    while (depot.settler.recording() > 0) {
        if (!std::exchange(told, true)) {
            depot.qmgr_log.warning(
                fmt::format("stopping when the queue store has recorded {} outcomes",
                            depot.settler.recording()));
        }
        attempt_ended.reset();
        const auto waited = co_await attempt_ended.wait(depot.clock.monotonic() + 1s);
        if (!waited && waited.error().code == ErrorCode::Cancelled) break;
    }
}

net::Awaitable<void> Courier::State::stop() {
    const Clock& clock = depot.clock;
    depot.gate.stopping = true;
    depot.due.set();
    depot.connections.stop();
    depot.summaries.stop();
    depot.lanes.wake_all();
    for (Attempt* attempt : attempts) attempt->cut_off();
    const MonotonicTime deadline = clock.monotonic() + depot.options.stop_grace;
    while (must_finish()) {
        attempt_ended.reset();
        const auto waited = co_await attempt_ended.wait(deadline);
        if (!waited) break;
    }
    co_await finish_recording();
    depot.connections.retire_all();
    co_await depot.tasks.join(std::min(deadline, clock.monotonic() + 1s));
    depot.tasks.cancel();
    co_await depot.tasks.join(clock.monotonic() + 5s);
    if (running) co_await run_ended.wait(clock.monotonic() + 5s);
}

Courier::Courier(const Options& options, const Maps& maps, queue::Queue& queue, Dialler& dialler,
                 const Clock& clock, const Ages& ages, boost::asio::any_io_executor network,
                 const Log& log)
    : state_(std::make_unique<State>(options, maps, queue, dialler, clock, ages, std::move(network),
                                     log)) {}

Courier::~Courier() = default;

net::Awaitable<void> Courier::run() {
    return state_->run();
}

void Courier::wake() {
    state_->depot.due.set();
}

void Courier::warm() {
    Depot& depot = state_->depot;
    const std::string next_hops = ascii_lowercase(depot.options.route.relayhost);
    const bool possible =
        !next_hops.empty() && !depot.gate.stopping && !depot.options.session.sender_dependent_auth;
    if (!possible) return;
    Lane& lane = depot.lanes.to(next_hops);
    const mail::Address nobody;
    const Account& account = depot.logins.find(next_hops, nobody).account;
    const auto ruling = depot.keeper.accounts().rule(account, depot.clock.now());
    const bool needed = state_->taken_up && !lane.warming && !lane.out_of_reach &&
                        depot.connections.idle(next_hops) == 0 && lane.congestion.running() == 0 &&
                        ruling.standing == Accounts::Standing::Good;
    if (!needed) return;
    lane.warming = true;
    lane.warm_by = depot.clock.monotonic() + Congestion::kHeadStart;
    depot.tasks.spawn(state_->warm_up(next_hops), "warm connection");
}

void Courier::flush() {
    state_->depot.keeper.try_now(true);
    state_->look_again();
}

void Courier::pause(const std::string& next_hops) {
    state_->depot.keeper.pause(next_hops.empty() ? relayhost() : ascii_lowercase(next_hops));
    state_->look_again();
}

void Courier::resume(const std::string& next_hops) {
    state_->depot.keeper.resume(ascii_lowercase(next_hops));
    state_->look_again();
}

std::string Courier::relayhost() const {
    return ascii_lowercase(state_->depot.options.route.relayhost);
}

void Courier::on_alert(Alarm alarm) {
    state_->depot.keeper.on_alert(std::move(alarm));
}

std::vector<queue::AccountTrouble> Courier::troubles() const {
    return state_->depot.keeper.accounts().all();
}

void Courier::network_changed(bool gain) {
    Depot& depot = state_->depot;
    const bool was_out_of_reach =
        std::any_of(depot.lanes.begin(), depot.lanes.end(),
                    [](const auto& named) { return named.second->out_of_reach; });
    const bool helps = gain && (was_out_of_reach || depot.keeper.accounts().network_may_help());
    if (gain) {
        ++depot.gate.network_gains;
        // Over the network of before, which may be gone without a farewell.
        depot.connections.drop_idle();
    }
    depot.lanes.look_for_network();
    if (helps) state_->retry_all();
}

void Courier::resumed(Duration asleep) {
    Depot& depot = state_->depot;
    depot.connections.drop_idle();
    ++depot.gate.network_gains;
    if (asleep >= kSleepOfConnections) {
        for (Attempt* attempt : state_->attempts) attempt->start_over();
    }
    depot.lanes.look_for_network();
    state_->retry_all();
}

net::Awaitable<void> Courier::stop() {
    return state_->stop();
}

std::vector<DestinationStatus> Courier::status() const {
    const Depot& depot = state_->depot;
    std::vector<DestinationStatus> all;
    for (const auto& [name, lane] : depot.lanes) {
        DestinationStatus status;
        status.next_hops = name;
        status.offline = lane->out_of_reach;
        status.window = lane->congestion.window();
        status.sessions = lane->congestion.running();
        status.idle = depot.connections.idle(name);
        status.waiting = lane->waiting();
        status.sent = lane->sent;
        status.deferred = lane->deferred;
        status.bounced = lane->bounced;
        all.push_back(std::move(status));
    }
    return all;
}

}  // namespace postrider::delivery
