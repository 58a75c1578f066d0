#include "delivery/conclusion.h"

#include <algorithm>

namespace postrider::delivery {

namespace {

using Kind = mail::Disposition::Kind;

bool contains(const std::vector<std::uint32_t>& ordinals, std::uint32_t ordinal) {
    return std::find(ordinals.begin(), ordinals.end(), ordinal) != ordinals.end();
}

const queue::QueuedRecipient* find(const queue::Lease& lease, std::uint32_t ordinal) {
    for (const queue::QueuedRecipient& recipient : lease.recipients) {
        if (recipient.ordinal == ordinal) return &recipient;
    }
    return nullptr;
}

bool has_expired(const queue::Lease& lease, const RetryOptions& retry, WallTime now,
                 WallTime no_expiry_until) {
    if (lease.expire) return true;
    const auto lifetime = lease.envelope.reverse_path.is_null()
                              ? std::min(retry.bounce_queue_lifetime, retry.maximal_queue_lifetime)
                              : retry.maximal_queue_lifetime;
    if (no_expiry_until == WallTime::max()) return false;
    const auto age = now - lease.arrival;
    return age >= 2 * lifetime || (age >= lifetime && now >= no_expiry_until);
}

}  // namespace

Conclusion conclude(const queue::Lease& lease, std::vector<queue::Outcome> outcomes,
                    const std::vector<std::uint32_t>& relayed_without_dsn,
                    const RetryOptions& retry, WallTime now, WallTime no_expiry_until) {
    Conclusion end;
    const bool reportable =
        !lease.envelope.reverse_path.is_null() && lease.origin != queue::Origin::Report;
    const bool expired = has_expired(lease, retry, now, no_expiry_until);
    const bool delay_due = reportable && !lease.delay_reported &&
                           retry.delay_warning_time.count() > 0 &&
                           now - lease.arrival >= retry.delay_warning_time;

    const auto fail = [&](const queue::QueuedRecipient& who, const mail::Disposition& why) {
        const mail::Notify& notify = who.recipient.notify;
        if (notify.never || (!notify.is_unspecified() && !notify.failure)) {
            end.unwanted.push_back(who.ordinal);
        } else if (reportable) {
            end.reported.push_back(who.ordinal);
            end.failures.emplace_back(who.recipient, why);
        } else {
            end.dead.push_back(who.ordinal);
        }
    };

    for (const queue::QueuedRecipient& recipient : lease.recipients) {
        if (recipient.state == queue::RecipientState::Failed) fail(recipient, recipient.last);
        if (recipient.state == queue::RecipientState::Waiting) ++end.undecided;
    }
    for (queue::Outcome& outcome : outcomes) {
        const queue::QueuedRecipient* who = find(lease, outcome.ordinal);
        if (who == nullptr) continue;
        mail::Disposition& what = outcome.disposition;
        if (what.kind == Kind::Deferred && expired) {
            what.kind = Kind::Expired;
            end.expired = true;
        }
        if (what.kind != Kind::Deferred) --end.undecided;
        switch (what.kind) {
            case Kind::Bounced:
            case Kind::Expired:
                fail(*who, what);
                break;
            case Kind::Sent:
                if (reportable && who->recipient.notify.success &&
                    contains(relayed_without_dsn, who->ordinal)) {
                    end.successes.emplace_back(who->recipient, what);
                }
                break;
            case Kind::Deferred:
                if (delay_due && who->recipient.notify.wants_delay()) {
                    end.delays.emplace_back(who->recipient, what);
                }
                break;
        }
        end.outcomes.push_back(std::move(outcome));
    }
    return end;
}

}  // namespace postrider::delivery
