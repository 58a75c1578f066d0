// The end of an attempt: what the queue is told, and the reports that go with it.
#include "delivery/attempt.h"
#include "delivery/conclusion.h"
#include "queue/backoff.h"

namespace postrider::delivery {

namespace {

using Kind = mail::Disposition::Kind;
using message::ReportKind;

Notice notice_of(ReportKind kind) {
    switch (kind) {
        case ReportKind::Failure:
            return Notice::NonDelivery;
        case ReportKind::Delay:
            return Notice::Delay;
        case ReportKind::Success:
            return Notice::Success;
    }
    return Notice::NonDelivery;
}

}  // namespace

// What is decided for good while other recipients are still on their way. One report at the end
// tells of all refusals; until then the queue remembers that it is owed.
net::Awaitable<void> Attempt::settle_part() {
    queue::Settlement part;
    part.number = lease_.number;
    std::vector<queue::Outcome> open;
    for (queue::Outcome& one : std::exchange(outcomes_, {})) {
        const bool is_final =
            one.disposition.kind == Kind::Sent || one.disposition.kind == Kind::Bounced;
        (is_final ? part.outcomes : open).push_back(std::move(one));
    }
    outcomes_ = std::move(open);
    if (part.outcomes.empty()) co_return;
    const std::vector<queue::Outcome> decided = part.outcomes;
    co_await depot_.settler.settle(std::move(part), lease_.id);
    for (const queue::Outcome& one : decided) {
        if (one.disposition.kind != Kind::Bounced) continue;
        for (queue::QueuedRecipient& recipient : lease_.recipients) {
            if (recipient.ordinal != one.ordinal) continue;
            recipient.state = queue::RecipientState::Failed;
            recipient.last = one.disposition;
        }
    }
}

net::Awaitable<void> Attempt::conclude_all() {
    concluding_ = true;
    const WallTime now = depot_.clock.now();
    Conclusion end =
        conclude(lease_, std::exchange(outcomes_, {}), relayed_without_dsn_, depot_.options.retry,
                 depot_.ages.now_for(lease_.arrival), depot_.gate.no_expiry_until);
    if (end.expired) {
        depot_.qmgr_log.info(expired_line(lease_.id, lease_.envelope.reverse_path, lease_.expire));
    }
    for (const std::uint32_t ordinal : end.dead) {
        depot_.qmgr_log.warning(dead_line(lease_.id, recipient(ordinal).recipient));
    }

    queue::Settlement settlement;
    settlement.number = lease_.number;
    settlement.outcomes = std::move(end.outcomes);
    settlement.dead = std::move(end.dead);
    // Without its report a failed recipient stays owed one: the next attempt makes it.
    if (co_await add_report(settlement, ReportKind::Failure, std::move(end.failures))) {
        settlement.reported = std::move(end.reported);
    }
    co_await add_report(settlement, ReportKind::Success, std::move(end.successes));
    const bool delayed = !end.delays.empty();
    const bool told = co_await add_report(settlement, ReportKind::Delay, std::move(end.delays));
    settlement.delay_reported = delayed && told;
    settlement.finished = true;
    queue::Backoff backoff;
    backoff.minimal = depot_.options.retry.minimal_backoff;
    backoff.maximal = depot_.options.retry.maximal_backoff;
    settlement.next_attempt =
        not_before_ > now ? not_before_ : queue::next_attempt(lease_.arrival, now, backoff);
    const queue::Settled settled = co_await depot_.settler.settle(std::move(settlement), lease_.id);
    for (const auto& [notice, id] : notices_) {
        depot_.bounce_log.info(notice_line(lease_.id, notice, id));
    }
    if (settled.removed) depot_.qmgr_log.info(removed_line(lease_.id));
}

// False if there is something to report and it could not be.
net::Awaitable<bool> Attempt::add_report(queue::Settlement& settlement, ReportKind kind,
                                         std::vector<message::ReportedRecipient> recipients) {
    if (recipients.empty()) co_return true;
    auto made = co_await depot_.reporter.write(lease_, kind, std::move(recipients));
    if (!made) co_return false;
    notices_.emplace_back(notice_of(kind), made->message.ticket.id);
    settlement.reports.push_back(*std::move(made));
    co_return true;
}

}  // namespace postrider::delivery
