// What failures mean: the one place that turns them into the fate of mail.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "core/result.h"
#include "delivery/known_answers.h"
#include "mail/disposition.h"
#include "queue/account.h"
#include "smtp/reply.h"

namespace postrider::delivery {

/// The host at the other end.
struct Peer {
    std::string host;
    std::string address;
    std::uint16_t port = 25;

    std::string name() const;       ///< `host[address]`
    std::string with_port() const;  ///< `host[address]:port`
};

/// How far trouble reaches, from one recipient to everything.
enum class Reach : std::uint8_t {
    Recipient,
    Message,      ///< All recipients of the transaction; others are not concerned.
    Session,      ///< This connection, so this address of the host; another may do better.
    Destination,  ///< The host does not want us now.
    Account,      ///< Password, quota, rights: the mail waits until a person or time mends it.
};

struct Verdict {
    mail::Disposition disposition;
    Reach reach = Reach::Message;
    queue::Trouble trouble = queue::Trouble::Unreachable;  ///< Of Session, Destination, Account.
    std::string advice;  ///< What a person can do about it; may be empty.
};

/// A reply that is no success at this stage. Deferred whenever in doubt.
/// `answers` may be null: our own, then. Whatever they say, a refusal of AUTH bounces nothing.
Verdict classify(Stage, const smtp::Reply&, const Peer&, const KnownAnswers* answers = nullptr);

/// The connection failed at this stage, or did not come about.
Verdict classify(Stage, const Error&, const Peer&);

/// Names that did not resolve. NotFound is for good, but not for a relayhost: that is a wrong
/// setting, and mail waits until it is mended.
Verdict lookup_failure(const Error&, bool is_relayhost);

/// TLS did not come about as demanded.
enum class TlsTrouble : std::uint8_t { NotOffered, Handshake, NotVerified, Configuration };
Verdict tls_failure(TlsTrouble, const Peer&);

/// AUTH could not be attempted: no mechanism both sides and the options agree on.
Verdict no_common_mechanism(const Peer&, bool offered_any);

/// What the message needs and the server has not.
Verdict too_big(std::uint64_t size, std::uint64_t limit, const Peer&);
Verdict smtputf8_missing(const Peer&);

/// Trouble of our own: a table, the queue, damaged content. Deferred, 4.3.0.
Verdict local_trouble(std::string text);

/// 452 (or 552, RFC 5321 4.5.3.1.10) to RCPT because the transaction is full, not because of the
/// recipient: the rest goes in another transaction.
bool is_transaction_full(const smtp::Reply&);

}  // namespace postrider::delivery
