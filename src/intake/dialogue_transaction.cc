// The transaction: who sends to whom, the content's way in, and what becomes of it.
#include <utility>
#include <variant>

#include "core/ascii.h"
#include "core/text.h"
#include "intake/dialogue.h"

namespace postrider::intake {

using smtp::Fault;
using smtp::Reply;
using smtp::Verb;

using Turn = Dialogue::Turn;
using Next = Dialogue::Next;

Turn Dialogue::mail(std::string_view argument) {
    if (options_.smtpd_helo_required && helo_.empty())
        return turn(503, "5.5.1 Error: send HELO/EHLO first");
    if (in_transaction_) return turn(503, "5.5.1 Error: nested MAIL command");
    if (chunking_ != Chunking::None) return turn(503, "5.5.1 Error: MAIL after BDAT");

    if (Reply refusal = check_rate(RateEvent::Message); refusal.code != 0)
        return turn(std::move(refusal));
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
    if (Reply refusal = check_sender(command.reverse_path); refusal.code != 0)
        return turn(std::move(refusal));

    in_transaction_ = true;
    envelope_.reverse_path = std::move(command.reverse_path);
    envelope_.envelope_id = std::move(command.envelope_id);
    envelope_.dsn_return = command.dsn_return;
    envelope_.body = command.body;
    envelope_.smtputf8 = command.smtputf8;
    return turn(250, "2.1.0 Ok");
}

/// A reply without a code means yes. The words and those of the log are Postfix's.
Reply Dialogue::check_rate(RateEvent event) {
    const std::size_t excess = excess_ ? excess_(event) : 0;
    if (excess == 0) return {};
    const bool message = event == RateEvent::Message;
    log_.warning(std::string(message ? "Message delivery request" : "Recipient address") +
                 " rate limit exceeded: " + std::to_string(excess) + " from " + client_.label() +
                 " for service smtp");
    return Reply(450, std::string("4.7.1 Error: too ") +
                          (message ? "much mail" : "many recipients") + " from " + client_.address);
}

/// A reply without a code means yes.
Reply Dialogue::check_sender(const mail::Address& sender) {
    if (client_.uid < 0 || !options_.may_send_as) return {};
    const auto allowed = options_.may_send_as(client_.uid, sender);
    if (allowed && *allowed) return {};
    const std::string shown = "<" + mail::external(sender) + ">: ";
    Reply reply =
        allowed ? Reply(553, "5.7.1 " + shown + "Sender address rejected: not authorized to use it")
                : Reply(451, "4.3.0 " + shown + "Temporary lookup failure");
    log_reject("MAIL", reply, &sender, nullptr);
    return reply;
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

    if (Reply refusal = check_rate(RateEvent::Recipient); refusal.code != 0)
        return turn(std::move(refusal));
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
    const auto shown = [&address] { return "<" + mail::external(address) + ">: "; };
    Reply reply;
    switch (found) {
        case RecipientClass::Local:
            break;
        case RecipientClass::Remote:
            if (!client_.trusted) reply = Reply(454, "4.7.1 " + shown() + "Relay access denied");
            break;
        case RecipientClass::UnknownLocal:
            if (options_.smtpd_reject_unlisted_recipient && !client_.stand_alone)
                reply = Reply(550, "5.1.1 " + shown() +
                                       "Recipient address rejected: User unknown in local "
                                       "recipient table");
            break;
        case RecipientClass::LookupFailed:
            reply = Reply(451, "4.3.0 " + shown() + "Temporary lookup failure");
            break;
    }
    if (reply.code != 0) log_reject("RCPT", reply, &envelope_.reverse_path, &address);
    return reply;
}

void Dialogue::store_recipient() {
    envelope_.recipients.push_back(std::exchange(pending_recipient_, {}));
}

Reply Dialogue::opened(const Result<mail::QueueId>& id) {
    if (!id) {
        ++errors_;
        pending_recipient_ = {};
        if (id.error().code == ErrorCode::DiskFull)
            return Reply(452, "4.3.1 Insufficient system storage");
        return Reply(451, "4.3.0 Error: queue file write error");
    }
    counts_.add_good(Verb::Rcpt);
    queue_id_ = *id;
    store_recipient();
    log_.info(concat({queue_id_.str(), ": client=", client_.label()}));
    return Reply(250, "2.1.5 Ok");
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
    counts_.add_good(Verb::Bdat);
    return Reply(250, "2.0.0 Ok: " + std::to_string(chunk.size) + " bytes");
}

Reply Dialogue::accepted() {
    const bool chunked = chunking_ == Chunking::Receiving;
    counts_.add_good(chunked ? Verb::Bdat : Verb::Data);
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

}  // namespace postrider::intake
