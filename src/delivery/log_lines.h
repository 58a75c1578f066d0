// The shape of every line delivery writes about a message.
#pragma once

#include <string>
#include <string_view>

#include "delivery/delays.h"
#include "mail/disposition.h"
#include "mail/envelope.h"
#include "mail/queue_id.h"

namespace postrider::delivery {

/// What the status line tells beside the recipient and its disposition.
struct Passage {
    std::string relay = "none";  ///< `host[addr]:port`, or none when no session was made.
    unsigned uses = 0;  ///< Deliveries of the session, this one included; 0 or 1: not said.
    Delays delays;
    int resolution = 2;  ///< delay_logging_resolution_limit
};

/// `QID: to=<R>[, orig_to=<O>], relay=..., [conn_use=N, ]delay=..., dsn=..., status=WORD (TEXT)`
std::string status_line(const mail::QueueId&, const mail::Recipient&, const mail::Disposition&,
                        const Passage&);

/// `sent`, `deferred`, `bounced`; Expired reads deferred, as qmgr's own line says the rest.
std::string_view status_word(mail::Disposition::Kind);

/// qmgr: `QID: from=<S>, size=N, nrcpt=N (queue active)`
std::string active_line(const mail::QueueId&, const mail::Address& sender, std::uint64_t size,
                        std::size_t recipients);
/// qmgr: `QID: removed`
std::string removed_line(const mail::QueueId&);
/// qmgr: `QID: from=<S>, status=expired, returned to sender`, or `force-expired` by an operator.
std::string expired_line(const mail::QueueId&, const mail::Address& sender, bool forced);

enum class Notice { NonDelivery, Delay, Success };
/// bounce: `QID: sender non-delivery notification: NEWID` and its kin.
std::string notice_line(const mail::QueueId&, Notice, const mail::QueueId& report);
/// qmgr: mail that can be neither delivered nor returned; an operator must look.
std::string dead_line(const mail::QueueId&, const mail::Recipient&);
/// Postfix has no such line either.
std::string damaged_line(const mail::QueueId&);

}  // namespace postrider::delivery
