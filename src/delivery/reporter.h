// Reports to senders, as messages for the queue.
#pragma once

#include <optional>
#include <vector>

#include "core/clock.h"
#include "core/log.h"
#include "delivery/options.h"
#include "message/report.h"
#include "net/stream.h"
#include "queue/queue.h"

namespace postrider::delivery {

/// What was written, as a message to `to`.
queue::OwnMessage own_message(const queue::Ticket&, WallTime now, const mail::Address& to,
                              bool smtputf8, message::Report written);

/// Writes them; whoever settles the original commits them in the same transaction.
class Reporter {
public:
    /// All references must outlive it.
    Reporter(const Options& options, queue::Queue& queue, const Clock& clock, const Log& bounce)
        : options_(options), queue_(queue), clock_(clock), log_(bounce) {}

    /// Nothing if no number could be had for it: the report stays owed.
    net::Awaitable<std::optional<queue::OwnMessage>> write(
        const queue::Lease& lease, message::ReportKind kind,
        std::vector<message::ReportedRecipient> recipients);

private:
    message::ReportRequest request(const queue::Lease&, message::ReportKind, const queue::Ticket&,
                                   WallTime now) const;

    const Options& options_;
    queue::Queue& queue_;
    const Clock& clock_;
    const Log& log_;
};

}  // namespace postrider::delivery
