// One message over one session: MAIL, RCPT, content, and the answer for each recipient.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/clock.h"
#include "core/log.h"
#include "core/result.h"
#include "delivery/options.h"
#include "delivery/outgoing_content.h"
#include "delivery/session.h"
#include "net/stream.h"
#include "queue/message.h"

namespace postrider::delivery {

/// What a transaction came to.
struct Outcomes {
    /// Every recipient is either here or in `left_over`.
    std::vector<queue::Outcome> settled;
    /// Not asked, or refused because the transaction was full: to be tried in another one at once.
    std::vector<std::uint32_t> left_over;
    /// The widest trouble met, for whoever schedules. Recipient and Message concern nobody else.
    Verdict trouble;
    /// The stored content is not what was accepted: it must not be sent, now or later (R13).
    bool damaged = false;
    /// The session can take another transaction.
    bool reusable = false;
    /// The session had been used before and died without a single reply, and before the end of the
    /// content went out: nothing has happened, and another session should be tried at once. Nobody
    /// is settled.
    bool stale = false;
};

/// Runs one transaction for `recipients` (ordinals of the lease, at most
/// TransactionOptions::recipient_limit). Never fails: every trouble is somebody's disposition.
///
/// Round trips: with CHUNKING and PIPELINING one, for content of one piece, or two over a session
/// that was idle; with PIPELINING two; otherwise one for each command. The content's checksum is
/// verified before the end of data goes out; if it is wrong, the connection is closed instead.
///
/// `marks.committing` is true while the end of data has been sent and its answer is awaited:
/// whoever stops the program lets it finish.
struct TransactionMarks {
    bool committing = false;
};
net::Awaitable<Outcomes> transact(Session& session, const queue::Lease& lease,
                                  const std::vector<std::uint32_t>& recipients,
                                  ContentSource& content, const TransactionOptions& options,
                                  const Clock& clock, const Log& log, TransactionMarks& marks);

}  // namespace postrider::delivery
