// What the queue keeps of a message.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/clock.h"
#include "mail/disposition.h"
#include "mail/envelope.h"
#include "mail/queue_id.h"

namespace postrider::queue {

/// The name under which a message is being handed over: reserved, never used twice.
struct Ticket {
    std::uint64_t number = 0;  ///< Unique in this queue, ever growing.
    mail::QueueId id;
    WallTime created;

    static Ticket make(std::uint64_t number, WallTime created, bool long_queue_ids);
};

/// What made a message, for who may see and report on it.
enum class Origin : std::uint8_t {
    Submission,  ///< A program, through SMTP, sendmail or maildrop.
    Report,      ///< A DSN of ours: null sender, never reported on.
};

/// All of a message but its content. The content is stored canonical: lines end in CRLF, there is
/// no other CR or LF, the last line is complete.
struct NewMessage {
    Ticket ticket;
    mail::Envelope envelope;
    WallTime arrival;
    Origin origin = Origin::Submission;
    std::int64_t submitter_uid = -1;  ///< The kernel's word; -1 when it came over the network.
    std::string client;      ///< `localhost[127.0.0.1]` or `local`, for header_checks at delivery.
    std::uint64_t size = 0;  ///< As Postfix counts it for `size=` and SIZE= (spec: logs).
    std::uint64_t content_length = 0;  ///< Stored bytes.
    std::uint32_t checksum = 0;        ///< Checksum of the stored bytes.
    std::uint32_t header_length = 0;   ///< Stored bytes up to and including the empty line.
    std::uint32_t longest_line = 0;    ///< Bytes without CRLF.
    bool has_8bit = false;             ///< Any byte above 0x7f in the content.
    bool held = false;                 ///< A rule said HOLD: wait for an operator.
    std::string content_filter;        ///< A rule said FILTER; empty otherwise.
    /// The file in maildrop that it was, so that it is taken once (Spool::commit); empty otherwise.
    std::string drop;
};

/// Whose mail it is when many want to send: a user of this machine, as far as the kernel knows him,
/// otherwise the sender, in any case.
std::string party_of(std::int64_t submitter_uid, const mail::Address& reverse_path);

/// Where a recipient stands.
enum class RecipientState : std::uint8_t {
    Waiting,  ///< To be tried (again).
    Failed,   ///< Refused or expired for good; the report to the sender is still owed.
    Dead,     ///< Failed, and nobody can be told: an operator must look.
};

struct QueuedRecipient {
    std::uint32_t ordinal = 0;  ///< Position in the message, stable for its life.
    mail::Recipient recipient;
    RecipientState state = RecipientState::Waiting;
    mail::Disposition last;  ///< Of the latest attempt; `text` empty before the first.
};

/// The exclusive right to attempt a message now. Given back by settle() with `finished`.
struct Lease {
    std::uint64_t number = 0;
    mail::QueueId id;
    mail::Envelope envelope;  ///< Without recipients: those below.
    WallTime arrival;
    Origin origin = Origin::Submission;
    std::int64_t submitter_uid = -1;
    std::string client;
    std::uint64_t size = 0;
    std::uint64_t content_length = 0;
    std::uint32_t checksum = 0;
    std::uint32_t header_length = 0;
    std::uint32_t longest_line = 0;
    bool has_8bit = false;
    std::string content_filter;
    std::uint32_t attempts = 0;               ///< Ended before this one.
    bool delay_reported = false;              ///< The sender has had a delay notice.
    bool expire = false;                      ///< An operator said: expire it at the next chance.
    std::vector<QueuedRecipient> recipients;  ///< Those not yet settled, by ordinal.
};

/// A message made here, content included: a DSN. At most ~60 KB of content.
struct OwnMessage {
    NewMessage message;
    std::string content;
};

struct Outcome {
    std::uint32_t ordinal = 0;
    mail::Disposition disposition;
};

/// What became of a lease, or of part of it. All of it is one transaction. An ordinal that is no
/// longer there is passed over, so settling twice does no harm.
struct Settlement {
    std::uint64_t number = 0;
    /// Sent removes the recipient; Deferred keeps it Waiting with the new reason; Bounced and
    /// Expired make it Failed.
    std::vector<Outcome> outcomes;
    /// Applied after `outcomes`: failed recipients that `reports` (or the sender's NOTIFY=NEVER)
    /// takes care of: removed.
    std::vector<std::uint32_t> reported;
    /// Failed recipients that cannot be reported: they become Dead.
    std::vector<std::uint32_t> dead;
    std::vector<OwnMessage> reports;
    bool delay_reported = false;  ///< One of `reports` is the delay notice.
    /// The attempt is over: the lease ends and what is left waits until `next_attempt`.
    bool finished = false;
    WallTime next_attempt;
    /// With `finished`: what is left waits for this account (its key) to be repaired, or for a
    /// summary, and is not due before, whatever `next_attempt` says. Empty: for its time alone.
    std::string waits_for;
    /// With `finished`: what is left is put on hold, for an operator to look at.
    bool hold = false;
};

/// A report that tells of many messages which wait for it. All of it is one transaction.
struct Summary {
    struct Told {
        std::uint64_t number = 0;
        std::vector<std::uint32_t> ordinals;  ///< Its Failed recipients.
    };
    OwnMessage report;
    std::string waits_for;  ///< The key of summary_for() their sender.
    std::vector<Told> told;
};

struct Settled {
    std::uint32_t recipients_left = 0;
    /// The message is gone, and the lease with it: nothing was left, or an operator removed it.
    bool removed = false;
    /// Mail that stood back for this attempt may be leased now.
    bool others_due = false;
};

/// One message as the tools list it.
struct ListedMessage {
    enum class Place : std::uint8_t { Incoming, Active, Deferred, Hold, Dead };
    Place place = Place::Incoming;
    std::uint64_t number = 0;
    mail::QueueId id;
    WallTime arrival;
    WallTime next_attempt;
    std::string waits_for;  ///< Key of an account; then `next_attempt` means little.
    std::uint64_t size = 0;
    std::uint32_t attempts = 0;
    bool expire = false;
    std::int64_t submitter_uid = -1;
    mail::Envelope envelope;  ///< Without recipients.
    std::vector<QueuedRecipient> recipients;
    /// Why it is not delivered: its rows are damaged, and what is here is what is sound of them.
    /// Listed as Dead, kept until an operator removes it.
    std::string damage;
};

struct QueueCounts {
    std::uint64_t incoming = 0;  ///< Never tried yet.
    std::uint64_t active = 0;
    std::uint64_t deferred = 0;
    std::uint64_t hold = 0;
    std::uint64_t dead = 0;
};

}  // namespace postrider::queue
