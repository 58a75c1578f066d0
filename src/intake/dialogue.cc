#include "intake/dialogue.h"

#include <algorithm>
#include <utility>
#include <variant>

#include "core/ascii.h"

namespace postrider::intake {
namespace {

using smtp::Fault;
using smtp::Reply;
using smtp::Verb;

using Turn = Dialogue::Turn;
using Next = Dialogue::Next;

constexpr std::string_view kSynchronization = "5.5.0 Error: SMTP protocol synchronization";

Turn turn(int code, std::string text, Next next = Next::Read) {
    Turn result;
    result.reply = Reply(code, std::move(text));
    result.next = next;
    return result;
}

Turn turn(Reply reply) {
    Turn result;
    result.reply = std::move(reply);
    return result;
}

/// Commands behind which a client must wait for the answer (RFC 2920 3.1).
bool ends_a_group(Verb verb) {
    switch (verb) {
        case Verb::Helo:
        case Verb::Ehlo:
        case Verb::Xclient:
        case Verb::Xforward:
        case Verb::StartTls:
        case Verb::Auth:
        case Verb::Data:
        case Verb::Noop:
        case Verb::Vrfy:
        case Verb::Etrn:
            return true;
        case Verb::Mail:
        case Verb::Rcpt:
        case Verb::Bdat:
        case Verb::Rset:
        case Verb::Quit:
        case Verb::Help:
        case Verb::Unknown:
            return false;
    }
    return false;
}

/// Commands that bring no mail nearer, of which smtpd_junk_command_limit are free.
bool is_junk(Verb verb) {
    switch (verb) {
        case Verb::Helo:
        case Verb::Ehlo:
        case Verb::Rset:
        case Verb::Noop:
        case Verb::Vrfy:
        case Verb::Etrn:
        case Verb::Help:
            return true;
        case Verb::Xclient:
        case Verb::Xforward:
        case Verb::StartTls:
        case Verb::Auth:
        case Verb::Mail:
        case Verb::Rcpt:
        case Verb::Data:
        case Verb::Bdat:
        case Verb::Quit:
        case Verb::Unknown:
            return false;
    }
    return false;
}

bool holds(const std::vector<std::string>& words, std::string_view word) {
    return std::any_of(words.begin(), words.end(),
                       [&](const std::string& w) { return equals_ignoring_case(w, word); });
}

/// A message header in the place of a command: somebody makes a browser post to us.
bool is_header(std::string_view word) {
    return word.size() > 1 && word.find(':') != std::string_view::npos &&
           !equals_ignoring_case(word, "FROM:") && !equals_ignoring_case(word, "TO:");
}

/// `PUT / HTTP/1.1`: what follows may be a form that speaks SMTP.
bool is_http(std::string_view line) {
    const std::string_view version = line.substr(line.find_last_of(' ') + 1);
    return version.size() < line.size() && version.starts_with("HTTP/");
}

bool has_control(std::string_view text) {
    return std::any_of(text.begin(), text.end(), [](char c) { return is_ascii_control(c); });
}

}  // namespace

Dialogue::Dialogue(const DialogueOptions& options, Client client, const Log& log)
    : options_(options), client_(std::move(client)), log_(log) {}

Reply Dialogue::greeting() const {
    return Reply(220, options_.smtpd_banner.empty() ? options_.myhostname + " ESMTP postrider"
                                                    : options_.smtpd_banner);
}

Reply Dialogue::early_talker() {
    log_.info("improper command pipelining after CONNECT from " + client_.label());
    return Reply(554, std::string(kSynchronization));
}

bool Dialogue::is_foreign(std::string_view beginning) {
    // RFC 5321 commands begin with a letter. A TLS hello may have no line end at all, so that
    // waiting for one would hold the slot until the timeout.
    if (beginning.empty()) return false;
    const char first = beginning.front();
    if (!is_ascii_alpha(first) && !is_ascii_space(first)) return true;
    return beginning.starts_with("SSH-");
}

Turn Dialogue::command(std::string_view line, bool more) {
    Count& unknown = counts_[static_cast<std::size_t>(Verb::Unknown)];
    if (is_foreign(line)) {
        ++unknown.total;
        return goodbye(line);
    }
    if (!is_utf8(line) || line.find_first_of(std::string_view("\0\r", 2)) != line.npos) {
        where_ = "UNKNOWN";
        ++unknown.total;
        ++errors_;
        return turn(500,
                    is_utf8(line) ? "5.5.2 Error: bad syntax" : "5.5.2 Error: bad UTF-8 syntax");
    }
    const smtp::CommandLine parts = smtp::split_command(line);
    if (parts.word.empty()) {
        where_ = "UNKNOWN";
        ++unknown.total;
        ++errors_;
        return turn(500, "5.5.2 Error: bad syntax");
    }
    if (holds(options_.smtpd_noop_commands, parts.word)) {
        if (junk_commands_++ > options_.smtpd_junk_command_limit) ++errors_;
        return turn(250, "2.0.0 Ok");
    }
    Count& count = counts_[static_cast<std::size_t>(parts.verb)];
    ++count.total;
    where_ = smtp::verb_name(parts.verb);
    if (parts.verb == Verb::Unknown) {
        if (is_header(parts.word) || is_http(line) ||
            holds(options_.smtpd_forbidden_commands, parts.word))
            return goodbye(line);
        ++errors_;
        return turn(500, "5.5.2 Error: command not recognized");
    }
    if (more && !client_.stand_alone && (!esmtp_ || ends_a_group(parts.verb)) &&
        parts.verb != Verb::Quit && parts.verb != Verb::Bdat &&
        options_.smtpd_forbid_unauth_pipelining) {
        log_.info("improper command pipelining after " + std::string(where_) + " from " +
                  client_.label());
        return turn(554, std::string(kSynchronization), Next::Close);
    }

    Turn result = dispatch(parts);
    const bool pending =
        result.next == Next::Open || result.next == Next::Content || result.next == Next::Chunk;
    // 452 for a recipient too many is no error of the client's, up to the overshoot limit.
    const bool forgiven = result.reply.code == 452 && parts.verb == Verb::Rcpt &&
                          recipients_beyond_limit_ <= options_.smtpd_recipient_overshoot_limit;
    if (!pending) {
        if (result.reply.code < 400 || forgiven) {
            ++count.good;
        } else {
            ++errors_;
        }
    }
    if (is_junk(parts.verb) && junk_commands_++ > options_.smtpd_junk_command_limit) ++errors_;
    return result;
}

Turn Dialogue::dispatch(const smtp::CommandLine& line) {
    switch (line.verb) {
        case Verb::Helo:
        case Verb::Ehlo:
            return greet(line);
        case Verb::Mail:
            return mail(line.argument);
        case Verb::Rcpt:
            return rcpt(line.argument);
        case Verb::Data:
            return data(line.argument);
        case Verb::Bdat:
            return bdat(line.argument);
        case Verb::Rset:
            return rset(line.argument);
        case Verb::Noop:
            if (!line.argument.empty()) return turn(501, "5.5.4 Syntax: NOOP");
            return turn(250, "2.0.0 Ok");
        case Verb::Vrfy:
            return vrfy(line.argument);
        case Verb::Etrn:
            return etrn(line.argument);
        case Verb::Help:
            return turn(214,
                        "2.0.0 Commands: AUTH BDAT DATA EHLO ETRN HELO HELP MAIL NOOP QUIT RCPT "
                        "RSET STARTTLS VRFY XCLIENT XFORWARD");
        case Verb::Quit:
            end_transaction();
            return turn(221, "2.0.0 Bye", Next::Close);
        case Verb::StartTls:
            return turn(502, "5.5.1 Error: command not implemented");
        case Verb::Auth:
            return turn(503, "5.5.1 Error: authentication not enabled");
        case Verb::Xclient:
        case Verb::Xforward:
            return turn(550, "5.7.0 Error: insufficient authorization");
        case Verb::Unknown:
            break;
    }
    return turn(500, "5.5.2 Error: command not recognized");
}

Turn Dialogue::greet(const smtp::CommandLine& line) {
    const bool extended = line.verb == Verb::Ehlo;
    if (line.argument.empty() || line.argument.size() > 255 || has_control(line.argument))
        return turn(501, extended ? "Syntax: EHLO hostname" : "Syntax: HELO hostname");
    end_transaction();
    helo_ = printable(line.argument);
    esmtp_ = extended;
    if (!extended) return turn(250, options_.myhostname);
    return turn(Reply(250, ehlo_lines()));
}

std::vector<std::string> Dialogue::ehlo_lines() const {
    std::vector<std::string> lines{options_.myhostname};
    const auto add = [&](std::string_view keyword, const std::string& rest = {}) {
        if (offers(keyword)) lines.push_back(std::string(keyword) + rest);
    };
    add("PIPELINING");
    add("SIZE", options_.message_size_limit == 0
                    ? std::string()
                    : " " + std::to_string(options_.message_size_limit));
    if (!options_.disable_vrfy_command) add("VRFY");
    add("ETRN");
    add("ENHANCEDSTATUSCODES");
    add("8BITMIME");
    add("DSN");
    if (options_.smtputf8_enable) add("SMTPUTF8");
    add("CHUNKING");
    return lines;
}

bool Dialogue::offers(std::string_view keyword) const {
    return !holds(options_.smtpd_discard_ehlo_keywords, keyword);
}

Turn Dialogue::mail(std::string_view argument) {
    if (options_.smtpd_helo_required && helo_.empty())
        return turn(503, "5.5.1 Error: send HELO/EHLO first");
    if (in_transaction_) return turn(503, "5.5.1 Error: nested MAIL command");
    if (chunking_ != Chunking::None) return turn(503, "5.5.1 Error: MAIL after BDAT");

    auto parsed = smtp::parse_mail(argument, options_.path);
    if (const auto* fault = std::get_if<Fault>(&parsed))
        return refuse(Verb::Mail, *fault, argument);
    auto& command = std::get<smtp::MailCommand>(parsed);
    if (command.uses_dsn && !offers("DSN")) return turn(501, "5.7.1 DSN support is disabled");
    if (command.smtputf8 && (!options_.smtputf8_enable || !offers("SMTPUTF8")))
        return turn(555, "5.5.4 Unsupported option: SMTPUTF8");
    if (command.size) {
        Reply refusal = check_size(*command.size, command.reverse_path);
        if (refusal.code != 0) return turn(std::move(refusal));
    }
    if (options_.strict_smtputf8 && !command.smtputf8 &&
        !is_ascii(mail::internal(command.reverse_path)))
        return turn(553, "5.6.7 Must declare SMTPUTF8 to send unicode address");

    in_transaction_ = true;
    envelope_.reverse_path = std::move(command.reverse_path);
    envelope_.envelope_id = std::move(command.envelope_id);
    envelope_.dsn_return = command.dsn_return;
    envelope_.body = command.body;
    envelope_.smtputf8 = command.smtputf8;
    return turn(250, "2.1.0 Ok");
}

Reply Dialogue::check_size(std::uint64_t size, const mail::Address& reverse_path) {
    if (options_.message_size_limit == 0 || size <= options_.message_size_limit) return {};
    Reply reply(552, "5.3.4 Message size exceeds fixed limit");
    log_reject("MAIL", reply, &reverse_path, nullptr);
    return reply;
}

Turn Dialogue::rcpt(std::string_view argument) {
    if (!in_transaction_) return turn(503, "5.5.1 Error: need MAIL command");
    if (chunking_ != Chunking::None) return turn(503, "5.5.1 Error: RCPT after BDAT");

    auto parsed = smtp::parse_rcpt(argument, options_.path);
    if (const auto* fault = std::get_if<Fault>(&parsed))
        return refuse(Verb::Rcpt, *fault, argument);
    auto& command = std::get<smtp::RcptCommand>(parsed);
    if (command.uses_dsn && !offers("DSN")) return turn(501, "5.7.1 DSN support is disabled");
    if (envelope_.recipients.size() >= options_.smtpd_recipient_limit) {
        ++recipients_beyond_limit_;
        return turn(452, "4.5.3 Error: too many recipients");
    }
    const mail::Address& address = command.recipient.address;
    if (options_.strict_smtputf8 && !envelope_.smtputf8 && !is_ascii(mail::internal(address)))
        return turn(553, "5.6.7 Must declare SMTPUTF8 to send unicode address");
    Reply refusal = check_recipient(address);
    if (refusal.code != 0) return turn(std::move(refusal));

    pending_recipient_ = std::move(command.recipient);
    if (queue_id_.empty()) return turn(250, "2.1.5 Ok", Next::Open);
    store_recipient();
    return turn(250, "2.1.5 Ok");
}

/// A reply without a code means yes.
Reply Dialogue::check_recipient(const mail::Address& address) {
    const RecipientClass found =
        options_.classify_recipient ? options_.classify_recipient(address) : RecipientClass::Remote;
    const std::string shown = "<" + mail::external(address) + ">: ";
    Reply reply;
    switch (found) {
        case RecipientClass::Local:
            break;
        case RecipientClass::Remote:
            if (!client_.trusted) reply = Reply(454, "4.7.1 " + shown + "Relay access denied");
            break;
        case RecipientClass::UnknownLocal:
            if (options_.smtpd_reject_unlisted_recipient && !client_.stand_alone)
                reply = Reply(550, "5.1.1 " + shown +
                                       "Recipient address rejected: User unknown in local "
                                       "recipient table");
            break;
        case RecipientClass::LookupFailed:
            reply = Reply(451, "4.3.0 " + shown + "Temporary lookup failure");
            break;
    }
    if (reply.code != 0) log_reject("RCPT", reply, &envelope_.reverse_path, &address);
    return reply;
}

void Dialogue::store_recipient() {
    envelope_.recipients.push_back(std::exchange(pending_recipient_, {}));
}

Reply Dialogue::opened(const Result<mail::QueueId>& id) {
    Count& count = counts_[static_cast<std::size_t>(Verb::Rcpt)];
    if (!id) {
        ++errors_;
        pending_recipient_ = {};
        if (id.error().code == ErrorCode::DiskFull)
            return Reply(452, "4.3.1 Insufficient system storage");
        return Reply(451, "4.3.0 Error: queue file write error");
    }
    ++count.good;
    queue_id_ = *id;
    store_recipient();
    log_.info(queue_id_.str() + ": client=" + client_.label());
    return Reply(250, "2.1.5 Ok");
}

Turn Dialogue::data(std::string_view argument) {
    if (chunking_ != Chunking::None) return turn(503, "5.5.1 Error: DATA after BDAT");
    if (envelope_.recipients.empty()) {
        // With PIPELINING the client may say DATA before it knows that no recipient stood.
        if (in_transaction_) return turn(554, "5.5.1 Error: no valid recipients");
        return turn(503, "5.5.1 Error: need RCPT command");
    }
    if (!argument.empty()) return turn(501, "5.5.4 Syntax: DATA");
    return turn(354, "End data with <CR><LF>.<CR><LF>", Next::Content);
}

Turn Dialogue::bdat(std::string_view argument) {
    // Where no count can be read, the content that follows would be taken for commands.
    if (!offers("CHUNKING")) return turn(521, "5.5.1 Error: command not implemented", Next::Close);
    const auto chunk = smtp::parse_bdat(argument);
    if (!chunk) return turn(521, "5.5.4 Syntax: BDAT count [LAST]", Next::Close);
    if (chunk->size == 0 && !chunk->last)
        return skip(*chunk, Reply(551, "5.7.1 Null BDAT request"));
    if (chunking_ == Chunking::Failed)
        return skip(*chunk, Reply(551, "5.0.0 Discarded " + std::to_string(chunk->size) +
                                           " bytes after earlier error"));
    if (envelope_.recipients.empty())
        return skip(*chunk, in_transaction_ ? Reply(554, "5.5.1 Error: no valid recipients")
                                            : Reply(503, "5.5.1 Error: need RCPT command"));
    const std::uint64_t limit = options_.message_size_limit;
    if (limit != 0 && (chunk_bytes_ > limit || chunk->size > limit - chunk_bytes_))
        return skip(*chunk, Reply(552, "5.3.4 Chunk exceeds message size limit"));

    chunking_ = Chunking::Receiving;
    chunk_bytes_ += chunk->size;
    Turn result;
    result.next = Next::Chunk;
    result.chunk = *chunk;
    return result;
}

Turn Dialogue::skip(const smtp::BdatCommand& chunk, Reply reply) {
    end_transaction();
    if (!chunk.last) chunking_ = Chunking::Failed;
    Turn result = turn(std::move(reply));
    result.next = Next::Skip;
    result.chunk = chunk;
    return result;
}

Reply Dialogue::chunk_received(const smtp::BdatCommand& chunk) {
    ++counts_[static_cast<std::size_t>(Verb::Bdat)].good;
    return Reply(250, "2.0.0 Ok: " + std::to_string(chunk.size) + " bytes");
}

Reply Dialogue::accepted() {
    const bool chunked = chunking_ == Chunking::Receiving;
    ++counts_[static_cast<std::size_t>(chunked ? Verb::Bdat : Verb::Data)].good;
    std::string text = "2.0.0 Ok: ";
    if (chunked) text += std::to_string(chunk_bytes_) + " bytes ";
    text += "queued as " + queue_id_.str();
    // Whoever brings a message is forgiven.
    errors_ = 0;
    junk_commands_ = 0;
    where_ = "END-OF-MESSAGE";
    end_transaction();
    return Reply(250, std::move(text));
}

Reply Dialogue::refused(Reply reply) {
    ++errors_;
    where_ = "END-OF-MESSAGE";
    end_transaction();
    return reply;
}

Reply Dialogue::refused(const Error& error) {
    if (error.code == ErrorCode::DiskFull)
        return refused(Reply(452, "4.3.1 Insufficient system storage"));
    return refused(Reply(451, "4.3.0 Error: queue file write error"));
}

Turn Dialogue::rset(std::string_view argument) {
    if (!argument.empty()) return turn(501, "5.5.4 Syntax: RSET");
    end_transaction();
    return turn(250, "2.0.0 Ok");
}

Turn Dialogue::vrfy(std::string_view argument) {
    if (options_.disable_vrfy_command) return turn(502, "5.5.1 VRFY command is disabled");
    if (argument.empty())
        return turn(501, options_.smtputf8_enable ? "5.5.4 Syntax: VRFY address [SMTPUTF8]"
                                                  : "5.5.4 Syntax: VRFY address");
    const auto address = smtp::parse_vrfy(argument, options_.path);
    if (!address) return turn(501, "5.1.3 Bad recipient address syntax");
    // The same for everybody who is asked about: nobody learns here who has a mailbox.
    return turn(252, "2.0.0 " + mail::external(*address));
}

Turn Dialogue::etrn(std::string_view argument) {
    if (options_.smtpd_helo_required && helo_.empty())
        return turn(503, "Error: send HELO/EHLO first");
    if (in_transaction_) return turn(503, "Error: MAIL transaction in progress");
    if (argument.empty() || argument.find_first_of(" \t") != argument.npos)
        return turn(500, "Syntax: ETRN domain");
    if (client_.stand_alone) return turn(458, "Unable to queue messages");
    return turn(459, "<" + printable(argument) + ">: service unavailable");
}

Turn Dialogue::goodbye(std::string_view line) {
    where_ = "UNKNOWN";
    log_.warning("non-SMTP command from " + client_.label() + ": " +
                 printable(line.substr(0, 100)));
    end_transaction();
    return turn(221, "2.7.0 Error: I can break rules, too. Goodbye.", Next::Close);
}

Turn Dialogue::refuse(Verb verb, const Fault& fault, std::string_view argument) {
    const bool sender = verb == Verb::Mail;
    switch (fault.kind) {
        case Fault::Kind::Syntax:
            return turn(501, sender ? "5.5.4 Syntax: MAIL FROM:<address>"
                                    : "5.5.4 Syntax: RCPT TO:<address>");
        case Fault::Kind::Address: {
            const std::size_t colon = argument.find(':');
            log_.warning("Illegal address syntax from " + client_.label() + " in " +
                         std::string(smtp::verb_name(verb)) +
                         " command: " + printable(trimmed(argument.substr(colon + 1, 200))));
            return turn(501, sender ? "5.1.7 Bad sender address syntax"
                                    : "5.1.3 Bad recipient address syntax");
        }
        case Fault::Kind::Size:
            return turn(501, "5.5.4 Bad message size syntax");
        case Fault::Kind::SizeTooBig:
            return turn(552, "5.3.4 Message size exceeds file system imposed limit");
        case Fault::Kind::Return:
            return turn(501, "5.5.4 Bad RET parameter syntax");
        case Fault::Kind::EnvelopeId:
            return turn(501, "5.5.4 Bad ENVID parameter syntax");
        case Fault::Kind::Notify:
            return turn(501, "5.5.4 Error: Bad NOTIFY parameter syntax");
        case Fault::Kind::OriginalRecipient:
            return turn(501, "5.5.4 Error: Bad ORCPT parameter syntax");
        case Fault::Kind::Auth:
            return turn(503, "5.5.4 Error: authentication disabled");
        case Fault::Kind::Unsupported:
            return turn(555, "5.5.4 Unsupported option: " + fault.detail);
    }
    return turn(501, "5.5.4 Error: bad syntax");
}

Reply Dialogue::overlong_command(std::string_view beginning) {
    where_ = "UNKNOWN";
    ++counts_[static_cast<std::size_t>(Verb::Unknown)].total;
    ++errors_;
    log_.warning(client_.label() +
                 ": request longer than 2048: " + printable(beginning.substr(0, 30)) + "...");
    return Reply(500, "5.5.2 " + options_.myhostname + " Error: command too long");
}

bool Dialogue::is_exhausted() const {
    return errors_ >= options_.smtpd_hard_error_limit;
}

bool Dialogue::is_slowed() const {
    return errors_ > options_.smtpd_soft_error_limit;
}

Reply Dialogue::too_many_errors() {
    log_.info("too many errors after " + std::string(where_) + " from " + client_.label());
    return Reply(421, "4.7.0 " + options_.myhostname + " Error: too many errors");
}

std::string Dialogue::protocol() const {
    if (!esmtp_) return "SMTP";
    return in_transaction_ && envelope_.smtputf8 ? "UTF8SMTP" : "ESMTP";
}

/// The one way out of a transaction: nothing of it may be left for the next (RFC 5321 4.1.4).
void Dialogue::end_transaction() {
    in_transaction_ = false;
    envelope_ = {};
    queue_id_ = {};
    pending_recipient_ = {};
    chunking_ = Chunking::None;
    chunk_bytes_ = 0;
    recipients_beyond_limit_ = 0;
}

void Dialogue::log_reject(std::string_view verb, const Reply& reply, const mail::Address* from,
                          const mail::Address* to) const {
    std::string line = queue_id_.empty() ? "NOQUEUE" : queue_id_.str();
    line += ": reject: " + std::string(verb) + " from " + client_.label() + ": " +
            std::to_string(reply.code) + " " + reply.lines.front() + ";";
    if (from != nullptr) line += " from=<" + mail::external(*from) + ">";
    if (to != nullptr) line += " to=<" + mail::external(*to) + ">";
    line += " proto=" + std::string(esmtp_ ? "ESMTP" : "SMTP");
    if (!helo_.empty()) line += " helo=<" + helo_ + ">";
    log_.info(line);
}

std::string Dialogue::disconnect_line() const {
    std::string line = "disconnect from " + client_.label();
    Count all;
    const auto append = [&](const std::string& name, const Count& count) {
        line += " " + name + "=" + std::to_string(count.good);
        if (count.good != count.total) line += "/" + std::to_string(count.total);
    };
    for (std::size_t i = 0; i < counts_.size(); ++i) {
        const Count& count = counts_[i];
        if (count.total == 0) continue;
        append(ascii_lowercase(smtp::verb_name(static_cast<Verb>(i))), count);
        all.good += count.good;
        all.total += count.total;
    }
    if (all.total == 0) return line + " commands=0/0";
    append("commands", all);
    return line;
}

}  // namespace postrider::intake
