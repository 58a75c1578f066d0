// The end of an attempt: what the queue is told, and the reports that go with it.
#include <fmt/format.h>

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
    const std::optional<Account> waits_for = common_wait(outcomes_);
    const AccountTrouble* trouble = waits_for ? depot_.keeper.accounts().find(*waits_for) : nullptr;
    // Trouble with the account is not trouble with the mail. That the smarthost cannot be reached
    // is, in the end.
    const bool never_expires = trouble != nullptr && trouble->trouble != Trouble::Unreachable;
    Conclusion end = conclude(lease_, std::exchange(outcomes_, {}), relayed_without_dsn_,
                              depot_.options.retry, depot_.ages.now_for(lease_.arrival),
                              never_expires ? WallTime::max() : depot_.gate.no_expiry_until);
    if (end.expired) {
        depot_.qmgr_log.info(expired_line(lease_.id, lease_.envelope.reverse_path, lease_.expire));
    }
    for (const std::uint32_t ordinal : end.dead) {
        depot_.qmgr_log.warning(dead_line(lease_.id, recipient(ordinal).recipient));
    }

    if (!end.dead.empty()) {
        tell_person("dead-mail", lease_.id.str() + " can be neither delivered nor returned");
    }

    queue::Settlement settlement;
    settlement.number = lease_.number;
    settlement.outcomes = std::move(end.outcomes);
    settlement.dead = std::move(end.dead);
    settlement.reported = std::move(end.unwanted);
    const mail::Address& sender = lease_.envelope.reverse_path;
    const bool left_out = !end.failures.empty() && !depot_.summaries.may_report(sender);
    // Without its report a failed recipient stays owed one: the next attempt makes it, or a
    // summary.
    if (!left_out) {
        const bool told =
            co_await add_report(settlement, ReportKind::Failure, std::move(end.failures));
        if (!told) end.reported.clear();
        settlement.reported.insert(settlement.reported.end(), end.reported.begin(),
                                   end.reported.end());
    }
    co_await add_report(settlement, ReportKind::Success, std::move(end.successes));
    if (!end.delays.empty() && depot_.summaries.may_warn(sender)) {
        settlement.delay_reported =
            co_await add_report(settlement, ReportKind::Delay, std::move(end.delays));
    }
    settlement.finished = true;
    settlement.hold = damaged_;
    queue::Backoff backoff;
    backoff.minimal = depot_.options.retry.minimal_backoff;
    backoff.maximal = depot_.options.retry.maximal_backoff;
    settlement.next_attempt = queue::next_attempt(lease_.arrival, now, backoff);
    // Looked up again: reports took their time.
    trouble = waits_for ? depot_.keeper.accounts().find(*waits_for) : nullptr;
    if (trouble != nullptr) {
        settlement.waits_for = waits_for->key();
        settlement.next_attempt = patience(*trouble, now);
    } else if (waits_for) {
        settlement.next_attempt = now;
    }
    const bool waits = !settlement.waits_for.empty();
    const bool for_summary = left_out && end.undecided == 0;
    if (for_summary) {
        settlement.waits_for = Summaries::account_of(sender).key();
        settlement.next_attempt = depot_.summaries.due(sender);
    }
    const queue::Settled settled = co_await depot_.settler.settle(std::move(settlement), lease_.id);
    if (waits && !for_summary) depot_.keeper.waiting_recorded(*waits_for);
    if (for_summary) {
        depot_.bounce_log.info(
            fmt::format("{}: sender non-delivery notification: later, in a summary for <{}>",
                        lease_.id.str(), mail::external(sender)));
        depot_.summaries.owe(sender);
    }
    for (const auto& [notice, id] : notices_) {
        depot_.bounce_log.info(notice_line(lease_.id, notice, id));
    }
    if (settled.removed) depot_.qmgr_log.info(removed_line(lease_.id));
    if (damaged_ && !settled.removed) {
        const std::string line = damaged_line(lease_.id);
        depot_.qmgr_log.error(line);
        tell_person("damaged-mail", line);
    }
}

void Attempt::tell_person(const char* state, std::string reason) const {
    Alert alert;
    alert.state = state;
    alert.account = "the queue";
    alert.reason = std::move(reason);
    alert.since = depot_.clock.now();
    depot_.keeper.raise(alert);
}

// The account that all who are still to be tried wait for; none if some wait for their time alone.
std::optional<Account> Attempt::common_wait(const std::vector<queue::Outcome>& outcomes) const {
    std::optional<Account> common;
    for (const queue::Outcome& one : outcomes) {
        if (one.disposition.kind != Kind::Deferred) continue;
        const auto found = waits_for_.find(one.ordinal);
        if (found == waits_for_.end()) return std::nullopt;
        if (common && common->key() != found->second.key()) return std::nullopt;
        common = found->second;
    }
    return common;
}

// When to look at waiting mail although its account is still in trouble.
WallTime Attempt::patience(const AccountTrouble& trouble, WallTime now) const {
    const RetryOptions& retry = depot_.options.retry;
    WallTime until = now + std::chrono::years(10);
    const auto notice_at = lease_.arrival + retry.delay_warning_time;
    const bool notice_due = retry.delay_warning_time.count() > 0 && !lease_.delay_reported &&
                            !lease_.envelope.reverse_path.is_null() && notice_at > now;
    if (notice_due) until = std::min<WallTime>(until, notice_at);
    if (trouble.trouble == Trouble::Unreachable) {
        const auto lifetime =
            lease_.envelope.reverse_path.is_null()
                ? std::min(retry.bounce_queue_lifetime, retry.maximal_queue_lifetime)
                : retry.maximal_queue_lifetime;
        until = std::min<WallTime>(until, lease_.arrival + lifetime);
    }
    return until;
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
