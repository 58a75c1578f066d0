// The server's side of an SMTP session, without its socket: a command comes in, a reply goes out.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "core/log.h"
#include "core/result.h"
#include "intake/client.h"
#include "intake/client_rates.h"
#include "intake/command_counts.h"
#include "mail/envelope.h"
#include "mail/queue_id.h"
#include "smtp/command_line.h"
#include "smtp/reply.h"

namespace postrider::intake {

/// What the address of a RCPT is to us.
enum class RecipientClass : std::uint8_t {
    Remote,        ///< Mail for somebody elsewhere.
    Local,         ///< Ends here, and somebody will have it.
    UnknownLocal,  ///< Ends here, and nobody will.
    LookupFailed,  ///< A table could not say.
};

/// Parameters of main.cf by their own names, as plain values. One value serves all sessions.
struct DialogueOptions {
    std::string myhostname = "localhost.localdomain";
    std::string smtpd_banner;  ///< Behind `220 `; empty means `myhostname ESMTP postrider`.
    std::uint64_t message_size_limit = 35882577;  ///< 0 means none.
    bool smtpd_helo_required = false;
    bool smtpd_forbid_unauth_pipelining = true;
    bool disable_vrfy_command = false;
    bool smtputf8_enable = true;
    bool strict_smtputf8 = false;
    std::vector<std::string> smtpd_discard_ehlo_keywords;
    std::vector<std::string> smtpd_noop_commands;
    std::vector<std::string> smtpd_forbidden_commands{"CONNECT", "GET", "POST"};
    std::size_t smtpd_recipient_limit = 1000;
    std::size_t smtpd_recipient_overshoot_limit = 1000;
    std::size_t smtpd_soft_error_limit = 10;
    std::size_t smtpd_hard_error_limit = 20;
    std::size_t smtpd_junk_command_limit = 100;
    bool smtpd_reject_unlisted_recipient = true;
    smtp::PathRules path;  ///< strict_rfc821_envelopes, and how long an address may be.

    /// Asked once for each RCPT. Without it everybody is Remote.
    std::function<RecipientClass(const mail::Address&)> classify_recipient;
    /// local_login_sender_maps, asked for whom the kernel vouches for, with the sender as given. An
    /// error means that nobody can say now. Empty: any sender.
    std::function<Result<bool>(std::int64_t uid, const mail::Address& sender)> may_send_as;
};

/// One session's state. It says what to answer and what to do next; the driver does it.
///
///   command()  --Read-----> send the reply, read the next command
///              --Open-----> reserve a queue id, then opened(), send what it says
///              --Content--> send the reply (354), read to the final dot, then accepted() or
///              refused()
///              --Chunk----> read `chunk.size` bytes; if `chunk.last` accepted() or refused(), else
///                           chunk_received()
///              --Skip-----> read and drop `chunk.size` bytes, then send the reply
///              --Close----> send the reply, close
///
/// The transaction is emptied by end_transaction() and nothing else, on every way out of it: after
/// the message, after RSET, HELO, EHLO and QUIT, and when a BDAT has failed. When it is empty and
/// the driver still holds a queue id, that message is to be discarded.
///
/// Logs what Postfix's smtpd logs about commands. Pure but for that; constant memory but for the
/// recipients, whose number is bounded. What belongs to a session is in dialogue.cc, a transaction
/// in dialogue_transaction.cc.
class Dialogue {
public:
    enum class Next : std::uint8_t { Read, Open, Content, Chunk, Skip, Close };
    struct Turn {
        smtp::Reply reply;  ///< To be sent now, except as said above.
        Next next = Next::Read;
        smtp::BdatCommand chunk;
    };

    /// All must outlive it, but the client, which is copied.
    Dialogue(const DialogueOptions& options, Client client, const Log& log);

    /// Asked at each MAIL and RCPT: how many of them were too many, or 0 (ClientRates::excess()).
    void limit_by(std::function<std::size_t(RateEvent)> excess) { excess_ = std::move(excess); }

    smtp::Reply greeting() const;
    /// The client spoke before the greeting: send this, close.
    smtp::Reply early_talker();

    /// One command line without its line end. `more` says that the client has sent something behind
    /// it already.
    Turn command(std::string_view line, bool more);
    /// A command longer than the bound was read and dropped; `beginning` is its first bytes.
    smtp::Reply overlong_command(std::string_view beginning);

    /// Answers the RCPT that came back as Open.
    smtp::Reply opened(const Result<mail::QueueId>& id);
    smtp::Reply chunk_received(const smtp::BdatCommand& chunk);
    /// The message is durable.
    smtp::Reply accepted();
    /// The message is not accepted; the reply says why.
    smtp::Reply refused(smtp::Reply reply);
    /// The queue cannot take the message now.
    smtp::Reply refused(const Error& error);

    /// Too many errors: send too_many_errors(), close.
    bool is_exhausted() const;
    smtp::Reply too_many_errors();
    /// Replies are to be delayed by smtpd_error_sleep_time.
    bool is_slowed() const;

    bool in_transaction() const { return in_transaction_; }
    /// The transaction's; valid while it lasts.
    const mail::Envelope& envelope() const { return envelope_; }
    bool has_queue_id() const { return !queue_id_.empty(); }
    bool is_receiving_chunks() const { return chunking_ == Chunking::Receiving; }

    const Client& client() const { return client_; }
    const std::string& helo() const { return helo_; }
    /// SMTP, ESMTP or UTF8SMTP.
    std::string protocol() const;
    /// What the last command was, for `lost connection after`.
    std::string_view where() const { return where_; }
    /// `disconnect from localhost[127.0.0.1] ehlo=1 quit=1 commands=2`.
    std::string disconnect_line() const;

private:
    enum class Chunking : std::uint8_t { None, Receiving, Failed };

    static Turn turn(int code, std::string text, Next next = Next::Read);
    static Turn turn(smtp::Reply reply, Next next = Next::Read);
    Turn misread(std::string text);
    bool must_wait_behind(smtp::Verb) const;
    void take_stock(smtp::Verb, const Turn&);
    Turn dispatch(const smtp::CommandLine& line);
    Turn greet(const smtp::CommandLine& line);
    Turn mail(std::string_view argument);
    Turn rcpt(std::string_view argument);
    Turn data(std::string_view argument);
    Turn bdat(std::string_view argument);
    Turn rset(std::string_view argument);
    Turn vrfy(std::string_view argument);
    Turn etrn(std::string_view argument);
    Turn goodbye(std::string_view line);

    Turn skip(const smtp::BdatCommand& chunk, smtp::Reply reply);
    Turn refuse(smtp::Verb verb, const smtp::Fault& fault, std::string_view argument);
    smtp::Reply check_rate(RateEvent event);
    smtp::Reply check_sender(const mail::Address& sender);
    smtp::Reply check_size(std::uint64_t size, const mail::Address& reverse_path);
    smtp::Reply check_recipient(const mail::Address& address);
    void store_recipient();
    void end_transaction();
    bool offers(std::string_view keyword) const;
    std::vector<std::string> ehlo_lines() const;
    void log_reject(std::string_view verb, const smtp::Reply& reply, const mail::Address* from,
                    const mail::Address* to) const;

    const DialogueOptions& options_;
    Client client_;
    const Log& log_;
    std::function<std::size_t(RateEvent)> excess_;

    std::string helo_;
    bool esmtp_ = false;

    bool in_transaction_ = false;
    mail::Envelope envelope_;
    mail::QueueId queue_id_;
    mail::Recipient pending_recipient_;  // Accepted as soon as there is a queue id.
    Chunking chunking_ = Chunking::None;
    std::uint64_t chunk_bytes_ = 0;
    std::size_t recipients_beyond_limit_ = 0;

    CommandCounts counts_;
    std::size_t errors_ = 0;
    std::size_t junk_commands_ = 0;
    std::string_view where_ = "CONNECT";
};

}  // namespace postrider::intake
