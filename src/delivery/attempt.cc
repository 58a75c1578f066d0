#include "delivery/attempt.h"

#include <map>
#include <string>

namespace postrider::delivery {

namespace {

using Kind = mail::Disposition::Kind;

constexpr int kStaleSessionsMax = 3;

}  // namespace

net::Awaitable<void> Attempt::run() {
    stations_.arrival = lease_.arrival;
    stations_.activated = depot_.clock.now();
    std::map<std::string, std::pair<Route, Ordinals>> groups;
    std::size_t waiting = 0;
    for (const queue::QueuedRecipient& one : lease_.recipients) {
        if (one.state == queue::RecipientState::Waiting) ++waiting;
    }
    depot_.qmgr_log.info(
        active_line(lease_.id, lease_.envelope.reverse_path, lease_.size, waiting));
    for (const queue::QueuedRecipient& one : lease_.recipients) {
        if (one.state != queue::RecipientState::Waiting) continue;
        Route route = depot_.router.route(lease_.envelope.reverse_path, one.recipient.address);
        if (route.transport == Route::Transport::Settled) {
            settle_by_route(route, one.ordinal);
            continue;
        }
        auto& group = groups[route.next_hops];
        group.first = std::move(route);
        group.second.push_back(one.ordinal);
    }
    for (auto& [name, group] : groups) {
        co_await deliver(std::move(group.first), std::move(group.second));
    }
    // Cut off by a stop: the lease ends with the process, what was decided has been settled.
    if (!depot_.gate.stopping || !outcomes_.empty()) co_await conclude_all();
}

void Attempt::settle_by_route(const Route& route, std::uint32_t ordinal) {
    stations_.taken = depot_.clock.now();
    queue::Outcome outcome;
    outcome.ordinal = ordinal;
    outcome.disposition = route.disposition;
    record(nullptr, outcome, passage(nullptr), depot_.error_log.named(route.program));
}

net::Awaitable<void> Attempt::deliver(Route route, Ordinals pending) {
    Lane& lane = depot_.lanes.to(route.next_hops);
    KnownLogin login = depot_.logins.find(route.next_hops, lease_.envelope.reverse_path);
    Way way{std::move(route), std::move(login), lane};
    const auto ruling = depot_.keeper.accounts().rule(way.login.account, depot_.clock.now());
    if (ruling.standing != Accounts::Standing::Blocked) co_await content_.fetch_ahead();
    const std::string party = queue::party_of(lease_.submitter_uid, lease_.envelope.reverse_path);
    int stale = 0;
    bool first = true;
    while (!pending.empty()) {
        // What the last transaction decided is recorded before the next one begins.
        if (!first && stale == 0 && !outcomes_.empty()) co_await settle_part();
        first = false;
        co_await lane.wait_for_warmth();
        const Admission admission = co_await lane.admit(way.login.account, party);
        if (admission == Admission::Stopping) co_return;
        stations_.taken = depot_.clock.now();
        stations_.connected.reset();
        if (admission == Admission::Blocked) co_return defer_blocked(way, pending);

        way.probe = admission == Admission::Probe;
        if (way.probe) depot_.keeper.begin_probe(way.login.account);
        const bool fresh = way.probe || stale >= kStaleSessionsMax;
        const std::uint64_t network = depot_.gate.network_gains;
        Dialled dialled = co_await session_for(way, fresh, pending);
        bool lived = true;
        if (dialled.session) {
            lived = co_await transact_over(way, std::move(dialled), pending);
        } else if (!lane.out_of_reach && depot_.gate.network_gains == network) {
            pending.clear();
        }
        if (way.probe) depot_.keeper.end_probe(way.login.account);
        stale = lived ? 0 : stale + 1;
        if (!lived && depot_.gate.stopping) co_return;
    }
}

net::Awaitable<Dialled> Attempt::session_for(const Way& way, bool fresh, const Ordinals& pending) {
    LoginTurns::Pass pass(depot_.login_turns, way.login.account, way.probe);
    DialRequest request(way.route.next_hops, way.route.is_relayhost);
    request.sender = lease_.envelope.reverse_path;
    request.queue_id = lease_.id.str();
    request.gate = &pass;
    const std::uint64_t network = depot_.gate.network_gains;
    Dialled dialled = co_await depot_.connections.get(std::move(request), fresh);
    if (dialled.session) co_return dialled;
    way.lane.release();
    const bool says_nothing = way.lane.out_of_reach || depot_.gate.network_gains != network;
    if (depot_.gate.stopping || says_nothing) co_return dialled;
    if (!pass.was_barred()) {
        depot_.learn_from_dialling(way.lane, way.login, dialled.trouble, stations_.taken);
    }
    defer_all(way.lane, pending, dialled.trouble.disposition, dialled.peer, depot_.smtp_log);
    wait_if_in_trouble(way, pending);
    co_return dialled;
}

net::Awaitable<bool> Attempt::transact_over(const Way& way, Dialled dialled, Ordinals& pending) {
    Lane& lane = way.lane;
    lane.congestion.connected();
    lane.wake_next();
    Session& session = *dialled.session;
    if (session.ready >= stations_.taken) stations_.connected = session.ready;

    Ordinals batch = pending;
    const TransactionOptions& how = depot_.options.transaction;
    const std::size_t limit = std::max<std::size_t>(1, how.recipient_limit);
    if (batch.size() > limit) batch.resize(limit);
    session_ = &session;
    Outcomes outcomes = co_await transact(session, lease_, batch, content_, how, depot_.clock,
                                          depot_.smtp_log, marks_);
    session_ = nullptr;
    lane.release();
    const bool started_over = std::exchange(starting_over_, false);
    if (outcomes.stale || (started_over && outcomes.trouble.reach >= Reach::Session))
        co_return false;

    depot_.learn_from_transaction(lane, way.login, outcomes, session.ready, stations_.taken);
    damaged_ = damaged_ || outcomes.damaged;
    const Passage passed = passage(&session);
    Ordinals deferred;
    for (const queue::Outcome& outcome : outcomes.settled) {
        std::erase(pending, outcome.ordinal);
        const bool is_deferred = outcome.disposition.kind == Kind::Deferred;
        if (is_deferred && depot_.gate.stopping) continue;  // Cut off.
        record(&lane, outcome, passed, depot_.smtp_log);
        if (is_deferred) deferred.push_back(outcome.ordinal);
        if (outcome.disposition.kind == Kind::Sent && !session.capabilities.dsn) {
            relayed_without_dsn_.push_back(outcome.ordinal);
        }
    }
    // What one recipient was told does not concern the account.
    if (outcomes.trouble.reach > Reach::Message) wait_if_in_trouble(way, deferred);
    if (outcomes.reusable && !depot_.gate.stopping) {
        depot_.connections.give_back(way.route.next_hops, lease_.envelope.reverse_path,
                                     std::move(dialled.session));
    } else {
        depot_.connections.retire(std::move(dialled.session));
    }
    co_return true;
}

void Attempt::defer_blocked(const Way& way, const Ordinals& pending) {
    const auto ruling = depot_.keeper.accounts().rule(way.login.account, depot_.clock.now());
    if (ruling.trouble == nullptr) return;  // Repaired this instant; it is tried again soon.
    mail::Disposition why;
    why.kind = Kind::Deferred;
    why.status = ruling.trouble->status;
    why.text = "delivery temporarily suspended: " + ruling.trouble->reason;
    defer_all(way.lane, pending, why, std::nullopt, depot_.error_log);
    wait_if_in_trouble(way, pending);
}

void Attempt::wait_if_in_trouble(const Way& way, const Ordinals& ordinals) {
    const auto ruling = depot_.keeper.accounts().rule(way.login.account, depot_.clock.now());
    if (ruling.standing == Accounts::Standing::Good) return;
    for (const std::uint32_t ordinal : ordinals) waits_for_[ordinal] = ruling.trouble->account;
}

void Attempt::cut_off() {
    if (session_ != nullptr && !marks_.committing) session_->channel->close();
}

void Attempt::start_over() {
    if (session_ == nullptr || marks_.committing) return;
    starting_over_ = true;
    session_->channel->close();
}

Passage Attempt::passage(const Session* session) {
    Passage how;
    stations_.finished = depot_.clock.now();
    how.delays = measure(stations_);
    how.resolution = depot_.options.delay_resolution;
    if (session != nullptr) {
        how.relay = session->peer.with_port();
        how.uses = session->uses;
    }
    return how;
}

void Attempt::record(Lane* lane, const queue::Outcome& outcome, const Passage& how,
                     const Log& log) {
    log.info(
        status_line(lease_.id, recipient(outcome.ordinal).recipient, outcome.disposition, how));
    outcomes_.push_back(outcome);
    if (lane == nullptr) return;
    switch (outcome.disposition.kind) {
        case Kind::Sent:
            ++lane->sent;
            break;
        case Kind::Deferred:
            ++lane->deferred;
            break;
        case Kind::Bounced:
        case Kind::Expired:
            ++lane->bounced;
            break;
    }
}

void Attempt::defer_all(Lane& lane, const Ordinals& ordinals, const mail::Disposition& why,
                        const std::optional<Peer>& peer, const Log& log) {
    Passage how = passage(nullptr);
    if (peer) how.relay = peer->with_port();
    for (const std::uint32_t ordinal : ordinals) {
        queue::Outcome outcome;
        outcome.ordinal = ordinal;
        outcome.disposition = why;
        record(&lane, outcome, how, log);
    }
}

const queue::QueuedRecipient& Attempt::recipient(std::uint32_t ordinal) const {
    for (const queue::QueuedRecipient& one : lease_.recipients) {
        if (one.ordinal == ordinal) return one;
    }
    POSTRIDER_CHECK(false);
    return lease_.recipients.front();
}

}  // namespace postrider::delivery
