// Delivery status notifications (RFC 3464, RFC 6522): what we tell the sender about mail.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/clock.h"
#include "mail/disposition.h"
#include "mail/envelope.h"
#include "mail/queue_id.h"
#include "message/date.h"

namespace postrider::message {

enum class ReportKind : std::uint8_t {
    Failure,  ///< `Undelivered Mail Returned to Sender`
    Delay,    ///< `Delayed Mail (still being retried)`
    Success,  ///< `Successful Mail Delivery Report`
};

/// One recipient and what became of it. `action` follows from the kind of report.
struct ReportedRecipient {
    mail::Recipient recipient;
    mail::Disposition disposition;

    ReportedRecipient(mail::Recipient to, mail::Disposition what)
        : recipient(std::move(to)), disposition(std::move(what)) {}
};

/// All that a report is made of.
struct ReportRequest {
    ReportKind kind = ReportKind::Failure;
    mail::QueueId id;           ///< The report's own.
    mail::QueueId original_id;  ///< That of the message it is about.
    WallTime now;
    WallTime arrival;      ///< Of the original.
    WallTime retry_until;  ///< Delay: arrival + maximal_queue_lifetime.
    Zone zone;             ///< At `now`.
    Zone arrival_zone;
    Zone retry_zone;

    std::string host;                     ///< myhostname
    std::string origin;                   ///< myorigin, for MAILER-DAEMON's address
    std::string mail_name = "postrider";  ///< In `Received: by HOST (NAME)`.
    std::string to;  ///< The sender in external form; empty: the original's reverse-path.
    bool to_postmaster = false;             ///< Postmaster copy: its subjects, auto-generated.
    bool smtputf8_enable = true;            ///< Then every report is labelled 8bit.
    bool threaded = false;                  ///< enable_threaded_bounces
    std::size_t returned_size_max = 50000;  ///< bounce_size_limit; 0: no limit.

    mail::Envelope original;  ///< Its `recipients` are not looked at.
    std::vector<ReportedRecipient> recipients;
    /// The stored content, from its first byte: the header section at least, and all of it when
    /// original_size is within returned_size_max.
    std::string original_content;
    std::uint64_t original_size = 0;  ///< As Postfix counts it.
    bool headers_only = false;        ///< In addition to what RET, size and kind of report ask for.
    std::chrono::seconds delay_warning_time{0};  ///< For the words of a delay notice.
};

struct Report {
    std::string content;     ///< Canonical: header section, empty line, body; lines end in CRLF.
    std::string message_id;  ///< `<20261122141136.A27DEA800E8@desk.example>`, for the log.
    std::string subject;
    std::uint64_t size = 0;           ///< As Postfix counts it.
    std::uint32_t header_length = 0;  ///< Up to and including the empty line.
    std::uint32_t longest_line = 0;   ///< Bytes without CRLF.
    std::uint32_t checksum = 0;       ///< Checksum of the content.
    bool has_8bit = false;
};

/// Whether the whole original is needed in original_content.
bool returns_full_message(const ReportRequest&);

/// Writes the report. Total: whatever a peer said, the result is well-formed; nothing in it can
/// add a header line or end a MIME part.
Report write_report(const ReportRequest&);

}  // namespace postrider::message
