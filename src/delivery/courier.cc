#include "delivery/courier.h"

#include <algorithm>
#include <deque>
#include <map>
#include <optional>
#include <set>
#include <utility>

#include <fmt/format.h>

#include "core/ascii.h"
#include "delivery/conclusion.h"
#include "delivery/congestion.h"
#include "delivery/log_lines.h"
#include "delivery/pool.h"
#include "delivery/route.h"
#include "delivery/transaction.h"
#include "net/event.h"
#include "net/task_group.h"
#include "net/until.h"
#include "queue/backoff.h"
#include "queue/checksum.h"

namespace postrider::delivery {

namespace {

using namespace std::chrono_literals;
using Kind = mail::Disposition::Kind;

constexpr std::size_t kLeaseBatch = 50;
constexpr int kStaleSessionsMax = 3;
constexpr auto kSettleRetryMax = 30s;
// The calendar may jump, so it is looked at again now and then even if nothing is due.
constexpr auto kSleepMax = 600s;

class QueueContent final : public ContentSource {
public:
    QueueContent(queue::Queue& queue, std::uint64_t number) : queue_(queue), number_(number) {}
    net::Awaitable<Result<std::string>> read_piece(std::uint32_t piece) override {
        return queue_.read_piece(number_, piece);
    }

private:
    queue::Queue& queue_;
    std::uint64_t number_;
};

/// One destination: its congestion, and the attempts that wait for a slot.
struct Lane {
    Lane(const Options& options, WallTime now)
        : congestion(options.concurrency, options.retry, now) {}

    Congestion congestion;
    std::deque<net::Event*> waiting;  // In order of arrival; each lives in its attempt's frame.
    bool warming = false;
    std::vector<net::Event*> for_warmth;  // Attempts that wait for the connection being made.
    std::uint64_t sent = 0;
    std::uint64_t deferred = 0;
    std::uint64_t bounced = 0;

    void wake_next() {
        if (!waiting.empty()) waiting.front()->set();
    }
    void wake_all() {
        for (net::Event* event : waiting) event->set();
        for (net::Event* event : for_warmth) event->set();
    }
};

/// One leased message on its way.
struct Attempt {
    explicit Attempt(queue::Lease what) : lease(std::move(what)) {}

    queue::Lease lease;
    Stations stations;
    std::vector<queue::Outcome> outcomes;  // Not settled yet.
    std::vector<std::uint32_t> relayed_without_dsn;
    WallTime not_before;  // Of a pause: the earliest sense in trying again.

    // For an orderly stop.
    TransactionMarks marks;
    Session* session = nullptr;
    bool concluding = false;

    const queue::QueuedRecipient& recipient(std::uint32_t ordinal) const {
        for (const queue::QueuedRecipient& one : lease.recipients) {
            if (one.ordinal == ordinal) return one;
        }
        POSTRIDER_CHECK(false);
        return lease.recipients.front();
    }
};

enum class Admission { Go, Suspended, Stopping };

}  // namespace

struct Courier::State {
    State(const Options& what, const Maps& tables, queue::Queue& from, Dialler& by,
          const Clock& time, boost::asio::any_io_executor on, const Log& to)
        : options(what),
          maps(tables),
          queue(from),
          dialler(by),
          clock(time),
          executor(on),
          router(options.route, maps),
          pool(options.pool, clock),
          smtp_log(to.named("smtp")),
          qmgr_log(to.named("qmgr")),
          bounce_log(to.named("bounce")),
          error_log(to.named("error")),
          tasks(on, to.named("qmgr")),
          due(on),
          idle_changed(on),
          attempt_ended(on),
          run_ended(on) {}

    const Options& options;
    const Maps& maps;
    queue::Queue& queue;
    Dialler& dialler;
    const Clock& clock;
    boost::asio::any_io_executor executor;
    Router router;
    Pool pool;
    Log smtp_log, qmgr_log, bounce_log, error_log;
    net::TaskGroup tasks;
    net::Event due, idle_changed, attempt_ended, run_ended;
    std::map<std::string, std::unique_ptr<Lane>> lanes;
    std::set<Attempt*> attempts;
    std::size_t unsettled = 0;  // Settlements that the store has refused so far (R6).
    bool stopping = false;
    bool running = false;

    // Scheduling.
    net::Awaitable<void> run();
    net::Awaitable<void> attend(queue::Lease lease);
    net::Awaitable<void> wait_for_warmth(Lane& lane);
    net::Awaitable<Admission> admit(Lane& lane);
    void release(Lane& lane);
    Lane& lane(const std::string& next_hops);

    // Delivering.
    void settle_by_route(Attempt&, const Route&, std::uint32_t ordinal);
    net::Awaitable<void> deliver(Attempt&, const Route route, std::vector<std::uint32_t> ordinals);
    net::Awaitable<Dialled> session_for(Attempt&, const Route& route, bool fresh);
    std::string pool_key(const std::string& next_hops, const mail::Address& sender) const;
    void record(Attempt&, Lane*, const queue::Outcome&, const Passage&, const Log&);
    void defer_all(Attempt&, Lane&, const std::vector<std::uint32_t>&, const mail::Disposition&,
                   const std::optional<Peer>&, const Log&);
    void learn(Lane&, const std::string& name, Reach, const mail::Disposition&);
    Passage passage(Attempt&, const Session*) const;

    // Ending.
    net::Awaitable<void> conclude_attempt(Attempt&);
    net::Awaitable<std::optional<queue::OwnMessage>> report(
        Attempt&, message::ReportKind, std::vector<message::ReportedRecipient>);
    net::Awaitable<void> settle_part(Attempt&);
    net::Awaitable<queue::Settled> settle(queue::Settlement settlement, const mail::QueueId id);

    // Connections.
    net::Awaitable<void> warm_up(std::string next_hops);
    net::Awaitable<void> retire_idle();
    net::Awaitable<void> quit(std::unique_ptr<Session> session);
    void retire(std::unique_ptr<Session> session);
};

Lane& Courier::State::lane(const std::string& next_hops) {
    auto& found = lanes[next_hops];
    if (!found) found = std::make_unique<Lane>(options, clock.now());
    return *found;
}

net::Awaitable<void> Courier::State::run() {
    running = true;
    tasks.spawn(retire_idle(), "idle connections");
    while (!stopping) {
        due.reset();
        MonotonicTime wake = clock.monotonic() + kSleepMax;
        const std::size_t room = options.active_message_max - attempts.size();
        if (unsettled == 0 && attempts.size() < options.active_message_max) {
            const std::size_t limit = std::min(room, kLeaseBatch);
            auto leases = co_await queue.lease_due(limit);
            if (!leases) {
                qmgr_log.warning(leases.error().message);
                wake = clock.monotonic() + 5s;
            } else {
                for (queue::Lease& one : *leases) {
                    const std::string name = one.id.str();
                    tasks.spawn(attend(std::move(one)), name);
                }
                if (leases->size() == limit) continue;
                const auto next = co_await queue.next_due();
                if (next && *next) {
                    const auto away = std::max<Duration>(**next - clock.now(), 10ms);
                    wake = std::min<MonotonicTime>(wake, clock.monotonic() + away);
                }
            }
        }
        if (stopping) break;
        const auto waited = co_await due.wait(wake);
        if (!waited && waited.error().code == ErrorCode::Cancelled) break;
    }
    running = false;
    run_ended.set();
}

// A lease as a task of its own: routes, delivers group by group, concludes.
net::Awaitable<void> Courier::State::attend(queue::Lease lease) {
    Attempt attempt(std::move(lease));
    attempts.insert(&attempt);
    attempt.stations.arrival = attempt.lease.arrival;
    attempt.stations.activated = clock.now();
    std::map<std::string, std::pair<Route, std::vector<std::uint32_t>>> groups;
    std::size_t waiting = 0;
    for (const queue::QueuedRecipient& one : attempt.lease.recipients) {
        if (one.state == queue::RecipientState::Waiting) ++waiting;
    }
    qmgr_log.info(active_line(attempt.lease.id, attempt.lease.envelope.reverse_path,
                              attempt.lease.size, waiting));
    for (const queue::QueuedRecipient& one : attempt.lease.recipients) {
        if (one.state != queue::RecipientState::Waiting) continue;
        Route route = router.route(attempt.lease.envelope.reverse_path, one.recipient.address);
        if (route.transport == Route::Transport::Settled) {
            settle_by_route(attempt, route, one.ordinal);
            continue;
        }
        auto& group = groups[route.next_hops];
        group.first = std::move(route);
        group.second.push_back(one.ordinal);
    }
    for (auto& [name, group] : groups) {
        co_await deliver(attempt, group.first, std::move(group.second));
    }
    // Cut off by a stop: the lease ends with the process, what was decided has been settled.
    if (!stopping || !attempt.outcomes.empty()) co_await conclude_attempt(attempt);
    attempts.erase(&attempt);
    attempt_ended.set();
    due.set();
}

void Courier::State::settle_by_route(Attempt& attempt, const Route& route, std::uint32_t ordinal) {
    attempt.stations.taken = clock.now();
    queue::Outcome outcome;
    outcome.ordinal = ordinal;
    outcome.disposition = route.disposition;
    record(attempt, nullptr, outcome, passage(attempt, nullptr), error_log.named(route.program));
}

// A connection that is already being made is nearly as good as one that is warm, and if its login
// is refused, another would be too.
net::Awaitable<void> Courier::State::wait_for_warmth(Lane& lane) {
    net::Event over(executor);
    lane.for_warmth.push_back(&over);
    while (lane.warming && !stopping) {
        over.reset();
        const auto waited = co_await over.wait(clock.monotonic() + kSleepMax);
        if (!waited && waited.error().code == ErrorCode::Cancelled) break;
    }
    std::erase(lane.for_warmth, &over);
}

net::Awaitable<Admission> Courier::State::admit(Lane& lane) {
    net::Event turn(executor);
    bool queued = false;
    Admission admission = Admission::Stopping;
    while (!stopping) {
        const bool first = lane.waiting.empty() || lane.waiting.front() == &turn;
        if (lane.congestion.suspended(clock.now()) != nullptr) {
            admission = Admission::Suspended;
            break;
        }
        // R6: while outcomes cannot be recorded, nothing new is sent.
        if (first && unsettled == 0 && lane.congestion.admits(clock.now())) {
            lane.congestion.started();
            admission = Admission::Go;
            break;
        }
        if (!queued) lane.waiting.push_back(&turn);
        queued = true;
        turn.reset();
        const auto waited = co_await turn.wait(clock.monotonic() + kSleepMax);
        if (!waited && waited.error().code == ErrorCode::Cancelled) break;
    }
    if (queued) std::erase(lane.waiting, &turn);
    // The next in line looks for itself: there may be room for more than one.
    lane.wake_next();
    co_return admission;
}

void Courier::State::release(Lane& lane) {
    lane.congestion.ended();
    lane.wake_next();
}

net::Awaitable<void> Courier::State::deliver(Attempt& attempt, const Route route,
                                             std::vector<std::uint32_t> pending) {
    Lane& here = lane(route.next_hops);
    QueueContent content(queue, attempt.lease.number);
    int stale = 0;
    bool first = true;
    while (!pending.empty()) {
        if (!first && stale == 0 && !attempt.outcomes.empty()) {
            // What the last transaction decided is recorded before the next one begins.
            co_await settle_part(attempt);
        }
        first = false;
        co_await wait_for_warmth(here);
        const Admission admission = co_await admit(here);
        if (admission == Admission::Stopping) co_return;
        attempt.stations.taken = clock.now();
        attempt.stations.connected.reset();
        if (admission == Admission::Suspended) {
            mail::Disposition why = here.congestion.reason();
            why.text = "delivery temporarily suspended: " + why.text;
            if (here.congestion.state() == Congestion::State::Paused) {
                attempt.not_before = here.congestion.next_attempt();
            }
            defer_all(attempt, here, pending, why, std::nullopt, error_log);
            co_return;
        }
        const WallTime asked = clock.now();
        Dialled dialled = co_await session_for(attempt, route, stale >= kStaleSessionsMax);
        if (!dialled.session) {
            release(here);
            if (stopping) co_return;
            learn(here, route.next_hops, dialled.trouble.reach, dialled.trouble.disposition);
            if (here.congestion.state() == Congestion::State::Paused) {
                attempt.not_before = here.congestion.next_attempt();
            }
            defer_all(attempt, here, pending, dialled.trouble.disposition, dialled.peer, smtp_log);
            co_return;
        }
        here.congestion.connected();
        here.wake_next();
        Session& session = *dialled.session;
        if (session.ready >= asked) attempt.stations.connected = session.ready;

        std::vector<std::uint32_t> batch = pending;
        const std::size_t limit = std::max<std::size_t>(1, options.transaction.recipient_limit);
        if (batch.size() > limit) batch.resize(limit);
        attempt.session = &session;
        Outcomes outcomes = co_await transact(session, attempt.lease, batch, content,
                                              options.transaction, clock, smtp_log, attempt.marks);
        attempt.session = nullptr;
        release(here);
        if (outcomes.stale) {
            ++stale;
            if (stopping) co_return;
            continue;
        }
        stale = 0;
        learn(here, route.next_hops, outcomes.reach, outcomes.trouble);
        if (here.congestion.state() == Congestion::State::Paused) {
            attempt.not_before = here.congestion.next_attempt();
        }
        const Passage how = passage(attempt, &session);
        const bool dsn = session.capabilities.dsn;
        for (const queue::Outcome& outcome : outcomes.settled) {
            std::erase(pending, outcome.ordinal);
            const bool cut_off = stopping && outcome.disposition.kind == Kind::Deferred;
            if (cut_off) continue;
            record(attempt, &here, outcome, how, smtp_log);
            if (outcome.disposition.kind == Kind::Sent && !dsn) {
                attempt.relayed_without_dsn.push_back(outcome.ordinal);
            }
        }
        if (outcomes.reusable && !stopping) {
            retire(pool.give(pool_key(route.next_hops, attempt.lease.envelope.reverse_path),
                             std::move(dialled.session)));
            idle_changed.set();
        } else {
            retire(std::move(dialled.session));
        }
    }
}

std::string Courier::State::pool_key(const std::string& next_hops,
                                     const mail::Address& sender) const {
    // With sender-dependent logins a session belongs to its sender.
    if (!options.session.sender_dependent_auth) return next_hops + '\n';
    return next_hops + '\n' + mail::internal(sender);
}

net::Awaitable<Dialled> Courier::State::session_for(Attempt& attempt, const Route& route,
                                                    bool fresh) {
    Dialled dialled;
    if (!fresh) {
        dialled.session = pool.take(pool_key(route.next_hops, attempt.lease.envelope.reverse_path));
        if (dialled.session) co_return dialled;
    }
    DialRequest request(route.next_hops, route.is_relayhost);
    request.sender = attempt.lease.envelope.reverse_path;
    request.queue_id = attempt.lease.id.str();
    co_return co_await dialler.dial(std::move(request));
}

Passage Courier::State::passage(Attempt& attempt, const Session* session) const {
    Passage how;
    attempt.stations.finished = clock.now();
    how.delays = measure(attempt.stations);
    how.resolution = options.delay_resolution;
    if (session != nullptr) {
        how.relay = session->peer.with_port();
        how.uses = session->uses;
    }
    return how;
}

void Courier::State::record(Attempt& attempt, Lane* here, const queue::Outcome& outcome,
                            const Passage& how, const Log& log) {
    log.info(status_line(attempt.lease.id, attempt.recipient(outcome.ordinal).recipient,
                         outcome.disposition, how));
    attempt.outcomes.push_back(outcome);
    if (here == nullptr) return;
    switch (outcome.disposition.kind) {
        case Kind::Sent:
            ++here->sent;
            break;
        case Kind::Deferred:
            ++here->deferred;
            break;
        case Kind::Bounced:
        case Kind::Expired:
            ++here->bounced;
            break;
    }
}

void Courier::State::defer_all(Attempt& attempt, Lane& here,
                               const std::vector<std::uint32_t>& ordinals,
                               const mail::Disposition& why, const std::optional<Peer>& peer,
                               const Log& log) {
    Passage how = passage(attempt, nullptr);
    if (peer) how.relay = peer->with_port();
    for (const std::uint32_t ordinal : ordinals) {
        queue::Outcome outcome;
        outcome.ordinal = ordinal;
        outcome.disposition = why;
        record(attempt, &here, outcome, how, log);
    }
}

// What an attempt says about its destination.
void Courier::State::learn(Lane& here, const std::string& name, Reach reach,
                           const mail::Disposition& trouble) {
    const WallTime now = clock.now();
    switch (reach) {
        case Reach::Recipient:
        case Reach::Message:
            if (here.congestion.succeeded(now)) {
                qmgr_log.info(fmt::format("{}: the account works again, mail flows", name));
            }
            break;
        case Reach::Session:
        case Reach::Destination:
            // A name that does not exist is settled per message, not by waiting.
            if (trouble.kind != Kind::Deferred) break;
            here.congestion.failed(trouble, now);
            break;
        case Reach::Account:
            if (here.congestion.pause(trouble, now)) {
                qmgr_log.warning(fmt::format(
                    "{}: account trouble, all its mail waits; next attempt in {} s: {}", name,
                    std::chrono::ceil<std::chrono::seconds>(here.congestion.next_attempt() - now)
                        .count(),
                    trouble.text));
            }
            break;
    }
    if (here.congestion.state() == Congestion::State::Ready) {
        here.wake_next();
    } else {
        here.wake_all();
    }
}

net::Awaitable<void> Courier::State::conclude_attempt(Attempt& attempt) {
    attempt.concluding = true;
    const queue::Lease& lease = attempt.lease;
    const WallTime now = clock.now();
    Conclusion end = conclude(lease, std::exchange(attempt.outcomes, {}),
                              attempt.relayed_without_dsn, options.retry, now);
    if (end.expired) {
        qmgr_log.info(expired_line(lease.id, lease.envelope.reverse_path, lease.expire));
    }
    for (const std::uint32_t ordinal : end.dead) {
        qmgr_log.warning(dead_line(lease.id, attempt.recipient(ordinal).recipient));
    }

    queue::Settlement settlement;
    settlement.number = lease.number;
    settlement.outcomes = std::move(end.outcomes);
    settlement.dead = std::move(end.dead);
    std::vector<std::pair<Notice, mail::QueueId>> notices;
    if (!end.failures.empty()) {
        auto made = co_await report(attempt, message::ReportKind::Failure, std::move(end.failures));
        if (made) {
            notices.emplace_back(Notice::NonDelivery, made->message.ticket.id);
            settlement.reports.push_back(*std::move(made));
            settlement.reported = std::move(end.reported);
        }
        // Without its report a failed recipient stays owed one: the next attempt makes it.
    } else {
        settlement.reported = std::move(end.reported);
    }
    if (!end.successes.empty()) {
        auto made =
            co_await report(attempt, message::ReportKind::Success, std::move(end.successes));
        if (made) {
            notices.emplace_back(Notice::Success, made->message.ticket.id);
            settlement.reports.push_back(*std::move(made));
        }
    }
    if (!end.delays.empty()) {
        auto made = co_await report(attempt, message::ReportKind::Delay, std::move(end.delays));
        if (made) {
            notices.emplace_back(Notice::Delay, made->message.ticket.id);
            settlement.reports.push_back(*std::move(made));
            settlement.delay_reported = true;
        }
    }
    settlement.finished = true;
    queue::Backoff backoff;
    backoff.minimal = options.retry.minimal_backoff;
    backoff.maximal = options.retry.maximal_backoff;
    settlement.next_attempt = attempt.not_before > now
                                  ? attempt.not_before
                                  : queue::next_attempt(lease.arrival, now, backoff);
    const queue::Settled settled = co_await settle(std::move(settlement), lease.id);
    for (const auto& [notice, id] : notices) {
        bounce_log.info(notice_line(lease.id, notice, id));
    }
    if (settled.removed) qmgr_log.info(removed_line(lease.id));
}

net::Awaitable<std::optional<queue::OwnMessage>> Courier::State::report(
    Attempt& attempt, message::ReportKind kind,
    std::vector<message::ReportedRecipient> recipients) {
    const queue::Lease& lease = attempt.lease;
    const auto number = co_await queue.reserve(1);
    if (!number) {
        bounce_log.warning(fmt::format("{}: {}", lease.id.str(), number.error().message));
        co_return std::nullopt;
    }
    queue::OwnMessage own;
    const WallTime now = clock.now();
    own.message.ticket = queue::Ticket::make(*number, now, options.long_queue_ids);

    message::ReportRequest request;
    request.kind = kind;
    request.id = own.message.ticket.id;
    request.original_id = lease.id;
    request.now = now;
    request.arrival = lease.arrival;
    request.retry_until = lease.arrival + options.retry.maximal_queue_lifetime;
    request.zone = message::system_zone(now);
    request.arrival_zone = message::system_zone(lease.arrival);
    request.retry_zone = message::system_zone(request.retry_until);
    request.host = options.report.myhostname;
    request.origin = options.report.myorigin;
    request.mail_name = options.report.mail_name;
    request.smtputf8_enable = options.report.smtputf8_enable;
    request.threaded = options.report.threaded_bounces;
    request.returned_size_max = options.report.bounce_size_limit;
    request.delay_warning_time = options.retry.delay_warning_time;
    request.original = lease.envelope;
    request.recipients = std::move(recipients);
    request.original_size = lease.size;
    const std::uint64_t wanted =
        message::returns_full_message(request) ? lease.content_length : lease.header_length;
    for (std::uint32_t piece = 0; request.original_content.size() < wanted; ++piece) {
        const auto bytes = co_await queue.read_piece(lease.number, piece);
        // A report without the original is better than none.
        if (!bytes || bytes->empty()) break;
        request.original_content += *bytes;
    }

    message::Report written = message::write_report(request);
    mail::Recipient to(lease.envelope.reverse_path);
    own.message.envelope.recipients.push_back(std::move(to));
    own.message.envelope.body =
        written.has_8bit ? mail::BodyType::EightBitMime : mail::BodyType::Unknown;
    own.message.envelope.smtputf8 = lease.envelope.smtputf8;
    own.message.arrival = now;
    own.message.origin = queue::Origin::Report;
    own.message.client = "local";
    own.message.size = written.size;
    own.message.content_length = written.content.size();
    queue::Checksum checksum;
    checksum.add(written.content);
    own.message.checksum = checksum.value();
    own.message.header_length = written.header_length;
    own.message.longest_line = written.longest_line;
    own.message.has_8bit = written.has_8bit;
    own.content = std::move(written.content);
    co_return own;
}

// What is decided for good while other recipients are still on their way. One report at the end
// tells of all refusals; until then the queue remembers that it is owed.
net::Awaitable<void> Courier::State::settle_part(Attempt& attempt) {
    queue::Settlement part;
    part.number = attempt.lease.number;
    std::vector<queue::Outcome> open;
    for (queue::Outcome& one : std::exchange(attempt.outcomes, {})) {
        const bool is_final =
            one.disposition.kind == Kind::Sent || one.disposition.kind == Kind::Bounced;
        (is_final ? part.outcomes : open).push_back(std::move(one));
    }
    attempt.outcomes = std::move(open);
    if (part.outcomes.empty()) co_return;
    const std::vector<queue::Outcome> decided = part.outcomes;
    co_await settle(std::move(part), attempt.lease.id);
    for (const queue::Outcome& one : decided) {
        if (one.disposition.kind != Kind::Bounced) continue;
        for (queue::QueuedRecipient& recipient : attempt.lease.recipients) {
            if (recipient.ordinal != one.ordinal) continue;
            recipient.state = queue::RecipientState::Failed;
            recipient.last = one.disposition;
        }
    }
}

// R6: an outcome is a fact. It stays in memory until the store takes it, and nothing new is sent
// meanwhile.
net::Awaitable<queue::Settled> Courier::State::settle(queue::Settlement settlement,
                                                      const mail::QueueId id) {
    std::chrono::seconds pause = 1s;
    bool counted = false;
    queue::Settled settled;
    for (;;) {
        auto answer = co_await queue.settle(settlement);
        if (answer) {
            settled = *answer;
            break;
        }
        qmgr_log.error(fmt::format("{}: outcome not recorded yet, no mail is sent until it is: {}",
                                   id.str(), answer.error().message));
        if (!counted) ++unsettled;
        counted = true;
        if (answer.error().code == ErrorCode::Invalid) break;  // No such lease: nothing to record.
        boost::asio::steady_timer timer(executor);
        const MonotonicTime until = clock.monotonic() + pause;
        const auto slept = co_await net::until(timer, net::kNever, "wait", [&](auto token) {
            timer.expires_at(until);
            return timer.async_wait(std::move(token));
        });
        if (!slept) break;
        pause = std::min<std::chrono::seconds>(pause * 2, kSettleRetryMax);
    }
    if (counted && --unsettled == 0) {
        due.set();
        for (auto& [name, one] : lanes) one->wake_all();
    }
    co_return settled;
}

net::Awaitable<void> Courier::State::warm_up(std::string next_hops) {
    Lane& here = lane(next_hops);
    const Route route = [&] {
        Route to;
        to.next_hops = next_hops;
        to.is_relayhost = true;
        return to;
    }();
    DialRequest request(route.next_hops, true);
    Dialled dialled = co_await dialler.dial(std::move(request));
    here.warming = false;
    if (dialled.session) {
        here.congestion.connected();
        const mail::Address nobody;
        retire(pool.give(pool_key(next_hops, nobody), std::move(dialled.session)));
        idle_changed.set();
    } else if (dialled.trouble.reach == Reach::Account) {
        learn(here, next_hops, Reach::Account, dialled.trouble.disposition);
    }
    // Other trouble is the first message's to meet and to report.
    here.wake_all();
}

net::Awaitable<void> Courier::State::retire_idle() {
    while (!stopping) {
        idle_changed.reset();
        for (auto& session : pool.take_expired()) retire(std::move(session));
        const auto waited = co_await idle_changed.wait(pool.next_expiry());
        if (!waited && waited.error().code == ErrorCode::Cancelled) co_return;
    }
}

void Courier::State::retire(std::unique_ptr<Session> session) {
    if (!session || !session->channel->is_open()) return;
    tasks.spawn(quit(std::move(session)), "QUIT");
}

net::Awaitable<void> Courier::State::quit(std::unique_ptr<Session> session) {
    // The answer to QUIT says nothing anybody needs.
    co_await session->channel->send("QUIT\r\n", 1, clock.monotonic() + 1s);
    session->channel->close();
}

Courier::Courier(const Options& options, const Maps& maps, queue::Queue& queue, Dialler& dialler,
                 const Clock& clock, boost::asio::any_io_executor network, const Log& log)
    : state_(
          std::make_unique<State>(options, maps, queue, dialler, clock, std::move(network), log)) {}

Courier::~Courier() = default;

net::Awaitable<void> Courier::run() {
    return state_->run();
}

void Courier::wake() {
    state_->due.set();
}

void Courier::warm() {
    State& state = *state_;
    const std::string next_hops = ascii_lowercase(state.options.route.relayhost);
    if (next_hops.empty() || state.stopping || state.options.session.sender_dependent_auth) return;
    Lane& here = state.lane(next_hops);
    const bool needed = !here.warming && state.pool.idle(next_hops) == 0 &&
                        here.congestion.running() == 0 && here.congestion.admits(state.clock.now());
    if (!needed) return;
    here.warming = true;
    state.tasks.spawn(state.warm_up(next_hops), "warm connection");
}

void Courier::flush() {
    for (auto& [name, one] : state_->lanes) {
        one->congestion.flush(state_->clock.now());
        one->wake_all();
    }
    state_->due.set();
}

net::Awaitable<void> Courier::stop() {
    State& state = *state_;
    state.stopping = true;
    state.due.set();
    state.idle_changed.set();
    for (auto& [name, one] : state.lanes) one->wake_all();
    for (Attempt* attempt : state.attempts) {
        const bool undecided = attempt->session != nullptr && !attempt->marks.committing;
        if (undecided) attempt->session->channel->close();
    }
    const auto must_finish = [&state] {
        return std::any_of(state.attempts.begin(), state.attempts.end(), [](const Attempt* one) {
            return one->marks.committing || one->concluding || !one->outcomes.empty();
        });
    };
    const MonotonicTime deadline = state.clock.monotonic() + state.options.stop_grace;
    while (must_finish()) {
        state.attempt_ended.reset();
        const auto waited = co_await state.attempt_ended.wait(deadline);
        if (!waited) break;
    }
    // A stop, or a reload, is how a repaired account is made known: its mail is due at once.
    const bool paused = std::any_of(state.lanes.begin(), state.lanes.end(), [](const auto& named) {
        return named.second->congestion.state() == Congestion::State::Paused;
    });
    if (paused) {
        const auto flushed = co_await state.queue.flush(std::nullopt);
        if (!flushed) state.qmgr_log.warning(flushed.error().message);
    }
    for (auto& session : state.pool.take_all()) state.retire(std::move(session));
    co_await state.tasks.join(std::min(deadline, state.clock.monotonic() + 1s));
    state.tasks.cancel();
    co_await state.tasks.join(state.clock.monotonic() + 5s);
    if (state.running) co_await state.run_ended.wait(state.clock.monotonic() + 5s);
}

std::vector<DestinationStatus> Courier::status() const {
    std::vector<DestinationStatus> all;
    for (const auto& [name, one] : state_->lanes) {
        DestinationStatus status;
        status.next_hops = name;
        switch (one->congestion.state()) {
            case Congestion::State::Ready:
                break;
            case Congestion::State::Suspended:
                status.state = DestinationStatus::State::Suspended;
                break;
            case Congestion::State::Paused:
                status.state = DestinationStatus::State::Paused;
                break;
        }
        if (status.state != DestinationStatus::State::Ready) {
            status.reason = one->congestion.reason().text;
        }
        status.since = one->congestion.since();
        status.next_attempt = one->congestion.next_attempt();
        status.window = one->congestion.window();
        status.sessions = one->congestion.running();
        status.idle = state_->pool.idle(name);
        status.waiting = one->waiting.size();
        status.sent = one->sent;
        status.deferred = one->deferred;
        status.bounced = one->bounced;
        all.push_back(std::move(status));
    }
    return all;
}

}  // namespace postrider::delivery
