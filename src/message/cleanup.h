// Makes a submitted message fit for the queue: headers completed, addresses rewritten, checked.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "core/clock.h"
#include "core/log.h"
#include "mail/envelope.h"
#include "mail/queue_id.h"
#include "mail/status.h"
#include "message/date.h"
#include "message/rewrite.h"
#include "table/table.h"

namespace postrider::message {

/// sendmail_fix_line_endings: which CRs before an LF belong to the line end.
enum class FixLineEndings { Always, Strict, Never };

/// header_from_format, for a From: field that we supply.
enum class HeaderFromFormat { Standard, Obsolete };

/// Parameters of main.cf by their own names, opened and parsed. One value serves all messages.
struct CleanupOptions {
    RewriteOptions rewrite;

    std::string mail_name = "postrider";
    bool always_add_missing_headers = false;
    std::vector<std::string> message_drop_headers = {"bcc", "content-length", "resent-bcc",
                                                     "return-path"};
    std::string undisclosed_recipients_header;
    HeaderFromFormat header_from_format = HeaderFromFormat::Standard;
    std::string full_name_encoding_charset = "utf-8";
    FixLineEndings sendmail_fix_line_endings = FixLineEndings::Always;

    table::Tables header_checks;
    table::Tables mime_header_checks;  ///< Postfix's default is a second copy of header_checks.
    table::Tables nested_header_checks;
    table::Tables body_checks;
    bool disable_mime_input_processing = false;

    std::uint64_t message_size_limit = 35882577;  ///< 0 means none.
    std::size_t header_size_limit = 102400;       ///< Of one logical header; the rest is dropped.
    std::size_t header_block_limit = 1048576;     ///< Bytes of the primary header block.
    std::size_t text_line_limit = 1048576;        ///< Bytes of one body line.
    std::size_t hopcount_limit = 50;              ///< Received: fields; that many are refused.
    /// Received: fields of ours, which no other limit would meet so soon when our own relayhost is
    /// ourselves; with that many a message is refused.
    std::size_t own_hopcount_limit = 4;
    std::size_t header_address_token_limit = 10240;
    std::uint64_t body_checks_size_limit = 51200;  ///< Of each body segment; 0 means all.
    std::size_t mime_nesting_limit = 100;
    std::size_t mime_boundary_length_limit = 2048;
    std::size_t line_length_limit = 2048;  ///< body_checks see pieces of this size.
    std::size_t recipient_limit = 10000;   ///< Of one message, after expansion.

    bool has_header_checks() const {
        return !(header_checks.empty() && mime_header_checks.empty() &&
                 nested_header_checks.empty());
    }
};

/// How the message came, for its Received: field.
struct Trace {
    enum class Door : std::uint8_t {
        Pickup,    ///< sendmail or maildrop: `by HOST (NAME, from userid UID)`.
        Smtp,      ///< `from HELO (NAME [ADDR]) by HOST (NAME) with PROTOCOL`.
        Internal,  ///< A notice of ours: `by HOST (NAME)`.
    };
    Door door = Door::Pickup;
    std::int64_t uid = -1;       ///< Pickup.
    std::string helo;            ///< Smtp, and below. As the client gave it; empty if it gave none.
    std::string client_name;     ///< `localhost`, or `unknown`.
    std::string client_address;  ///< `127.0.0.1`, `::1`.
    std::string protocol;        ///< SMTP, ESMTP, ESMTPSA, ...
};

/// A message that begins to arrive: all that is known before its first byte.
struct Submission {
    mail::QueueId queue_id;
    WallTime created;  ///< Of the queue id, for the Message-Id.
    WallTime arrival;
    Zone zone;  ///< At `arrival`.
    RewriteContext context = RewriteContext::Local;
    Trace trace;

    /// For the log lines of header and body checks. `proto` and `helo` only for SMTP.
    std::string log_origin = "local";  ///< Or `localhost[127.0.0.1]`.
    std::string proto;
    std::string helo;

    std::string full_name;  ///< -F, NAME or GECOS, for a From: that we supply; may be empty.
    bool extract_recipients = false;  ///< -t
    bool dot_ends = false;            ///< A line of one dot ends the message (no -i).
    bool checks = true;               ///< header_checks and its kin apply.
    bool address_mappings = true;     ///< Canonical, virtual, aliases, masquerading, bcc apply.

    /// As submitted. `body` may become EightBitMime by a Content-Transfer-Encoding field.
    mail::Envelope envelope;
};

/// The message may be committed. The fields are those of queue::NewMessage.
struct Accepted {
    mail::Envelope envelope;  ///< Rewritten, expanded, without duplicates.
    std::uint64_t size = 0;
    std::uint64_t content_length = 0;
    std::uint32_t checksum = 0;
    std::uint32_t header_length = 0;
    std::uint32_t longest_line = 0;
    bool has_8bit = false;
    bool held = false;
    std::string content_filter;
    std::string message_id;  ///< With its brackets; empty if there is none.
};

/// The message must not be committed.
struct Rejected {
    int reply_code = 550;
    mail::EnhancedStatus status{5, 7, 1};
    std::string text;         ///< `message content rejected`: one line, without the status.
    bool own_words = false;   ///< `text` is the operator's, from a table.
    mail::Envelope envelope;  ///< As far as it was rewritten, for a report to the sender.

    bool is_permanent() const { return status.status_class == 5; }
};

/// `5.3.4 Error: message file too big`, `5.7.1 not here`: the SMTP reply behind its code.
std::string reply_text(const Rejected&);

/// A rule said DISCARD: answer success, commit nothing.
struct Discarded {};

using Verdict = std::variant<Accepted, Rejected, Discarded>;

/// One message on its way in. Bytes go in, split anywhere; canonical content comes out: each line
/// ends in CRLF, there is no other CR or LF, the last line is complete, our Received: field leads.
///
///     Cleanup cleanup(options, log, std::move(submission));
///     while (read some bytes) {
///         cleanup.write(bytes);
///         if (cleanup.output_size() >= Cleanup::kOutputPiece) store(cleanup.take_output());
///     }
///     Verdict verdict = cleanup.finish();
///     store(cleanup.take_output());
///
/// LF and CRLF both end a line; any other CR becomes a space. NUL passes: it harms nobody as
/// content, and a door that must refuse it (SMTP without BINARYMIME) sees it first.
///
/// Memory: what the caller has not taken, one logical header and one address list; it does not grow
/// with the message. Time: linear. No input is an error of the program; a message that is refused
/// is read to its end all the same, and its output is dropped.
class Cleanup {
public:
    static constexpr std::size_t kOutputPiece = 64 * 1024;

    /// The options must outlive it. Rewrites the envelope, so table lookups happen here.
    Cleanup(const CleanupOptions& options, Log log, Submission submission);
    ~Cleanup();
    Cleanup(Cleanup&&) noexcept;
    Cleanup& operator=(Cleanup&&) noexcept;

    void write(std::string_view bytes);

    /// Whether a lone dot has ended the message; what is written afterwards is ignored.
    bool at_end() const;
    /// Whether it is already certain that the message will not be accepted.
    bool is_refused() const;

    std::size_t output_size() const;
    /// Everything produced so far, and forgets it.
    std::string take_output();

    /// Ends the content and says what to do with the message. Once, after the last write().
    Verdict finish();

private:
    class Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace postrider::message
