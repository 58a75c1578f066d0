#include "intake/smtp_session.h"

#include <algorithm>
#include <cstring>
#include <utility>
#include <variant>

#include "intake/etiquette.h"
#include "message/date.h"
#include "smtp/data_reader.h"

namespace postrider::intake {
namespace {

using Next = Dialogue::Next;

/// Replies gathered before they are sent all the same.
constexpr std::size_t kRepliesMax = 64 * 1024;

}  // namespace

SmtpSession::SmtpSession(net::Stream& stream, Client client, const Services& services, Slot& slot)
    : stream_(stream),
      services_(services),
      slot_(slot),
      log_(services.log.named("smtpd")),
      dialogue_(services.dialogue, std::move(client), log_),
      input_(stream, services.timers, slot) {
    slot_.on_farewell([this](Farewell farewell) { heed(farewell); });
    if (services_.rates == nullptr || dialogue_.client().stand_alone) return;
    dialogue_.limit_by([this](RateEvent event) {
        return services_.rates->excess(event, dialogue_.client().address, services_.timers.now());
    });
}

SmtpSession::~SmtpSession() {
    slot_.on_farewell({});
}

net::Awaitable<void> SmtpSession::run(bool talked_early) {
    log_.info("connect from " + dialogue_.client().label());
    if (talked_early) {
        say(dialogue_.early_talker());
        (void)co_await flush();
    } else {
        say(dialogue_.greeting());
        auto ended = co_await converse();
        if (!ended) co_await leave(std::move(ended).error());
    }
    message_.reset();
    stream_.close();
    log_.info(dialogue_.disconnect_line());
}

net::Awaitable<Result<void>> SmtpSession::converse() {
    while (true) {
        if (must_leave()) co_return Unexpected(ErrorCode::Cancelled, "asked to leave");
        if (dialogue_.is_exhausted()) {
            say(dialogue_.too_many_errors());
            co_return co_await flush();
        }
        // Replies wait only while the next command is already here (RFC 2920 3.2).
        if (!input_.has_line() || replies_.size() > kRepliesMax) {
            auto flushed = co_await flush();
            if (!flushed) co_return flushed;
        }
        auto line = co_await next_line();
        if (!line) co_return Unexpected(std::move(line).error());
        Dialogue::Turn turn = turn_after(*line);
        if (dialogue_.is_slowed()) {
            auto waited = co_await slow_down();
            if (!waited) co_return waited;
        }
        auto obeyed = co_await obey(turn);
        if (!obeyed) co_return obeyed;
        if (!dialogue_.in_transaction()) forget_message();
        if (turn.next == Next::Close) co_return co_await flush();
    }
}

net::Awaitable<Result<InputBuffer::Line>> SmtpSession::next_line() {
    if (input_.buffered().empty()) {
        auto filled = co_await input_.fill(InputBuffer::kCommandRoom, command_deadline());
        if (!filled) co_return Unexpected(std::move(filled).error());
    }
    // Without waiting for a line end: a TLS hello may have none. Its first byte tells, and so does
    // not depend on how much has come.
    if (is_foreign(input_.buffered().substr(0, 1))) {
        InputBuffer::Line beginning;
        beginning.text = input_.buffered().substr(0, 100);
        co_return beginning;
    }
    co_return co_await input_.read_line(services_.session.line_length_limit, command_deadline());
}

Dialogue::Turn SmtpSession::turn_after(const InputBuffer::Line& line) {
    if (!line.too_long) return dialogue_.command(line.text, !input_.buffered().empty());
    Dialogue::Turn turn;
    turn.reply = dialogue_.overlong_command(line.text);
    return turn;
}

/// A client that errs much waits for each reply; those to what came before go out first.
net::Awaitable<Result<void>> SmtpSession::slow_down() {
    auto flushed = co_await flush();
    if (!flushed) co_return flushed;
    co_return co_await services_.timers.sleep_until(services_.timers.now() +
                                                    services_.session.smtpd_error_sleep_time);
}

net::Awaitable<Result<void>> SmtpSession::obey(const Dialogue::Turn& turn) {
    Result<void> done;
    switch (turn.next) {
        case Next::Read:
        case Next::Close:
            say(turn.reply);
            break;
        case Next::Open:
            co_await open_message();
            break;
        case Next::Content:
            say(turn.reply);
            done = co_await read_data();
            break;
        case Next::Chunk:
            done = co_await read_chunk(turn.chunk);
            break;
        case Next::Skip:
            forget_message();
            done = co_await skip_chunk(turn.chunk.size);
            if (done) say(turn.reply);
            break;
    }
    co_return done;
}

net::Awaitable<void> SmtpSession::open_message() {
    auto ticket = co_await services_.inbox.open();
    if (!ticket) {
        log_.warning("NOQUEUE: " + ticket.error().message);
        say(dialogue_.opened(Unexpected(std::move(ticket).error())));
        co_return;
    }
    const mail::QueueId id = ticket->id;
    message_.emplace(services_.inbox, *std::move(ticket));
    say(dialogue_.opened(id));
}

void SmtpSession::begin_message() {
    const Client& client = dialogue_.client();
    message::Submission submission;
    submission.arrival = services_.timers.clock().now();
    submission.zone = message::system_zone(submission.arrival);
    submission.context = client.name == "localhost" ? message::RewriteContext::Local
                                                    : message::RewriteContext::Remote;
    submission.trace.door = message::Trace::Door::Smtp;
    submission.trace.uid = client.uid;
    submission.trace.helo = dialogue_.helo();
    submission.trace.client_name = client.name;
    submission.trace.client_address = client.address;
    submission.trace.protocol = dialogue_.protocol();
    submission.log_origin = client.label();
    submission.proto = dialogue_.protocol();
    submission.helo = dialogue_.helo();
    submission.envelope = dialogue_.envelope();
    message_->begin(services_.cleanup, services_.log.named("cleanup"), std::move(submission));

    receiving_ = true;
    content_bytes_ = 0;
    content_begun_ = services_.timers.now();
    has_nul_ = false;
}

net::Awaitable<Result<void>> SmtpSession::read_data() {
    begin_message();
    smtp::DataReader data;
    while (!data.at_end()) {
        if (input_.buffered().empty()) {
            // Looking is enough: what follows the final dot must stay for the next command.
            auto filled = co_await wait_for_content();
            if (!filled) co_return Unexpected(std::move(filled).error());
        }
        std::string_view input = input_.buffered();
        const std::size_t before = input.size();
        while (!input.empty() && !data.at_end()) {
            const auto step = data.next(input);
            if (!step.content.empty()) co_await take_content(step.content);
            input.remove_prefix(step.consumed);
        }
        input_.consume(before - input.size());
        if (is_oversized()) break;
    }
    if (!data.at_end()) {
        co_return Unexpected(ErrorCode::Limit, "message beyond all bounds");
    }
    co_return co_await finish_message();
}

net::Awaitable<Result<void>> SmtpSession::read_chunk(smtp::BdatCommand chunk) {
    if (!message_->has_begun()) begin_message();
    for (std::uint64_t left = chunk.size; left > 0;) {
        if (input_.buffered().empty()) {
            auto filled = co_await wait_for_content();
            if (!filled) co_return Unexpected(std::move(filled).error());
        }
        const std::string_view input = input_.buffered();
        const auto size = static_cast<std::size_t>(std::min<std::uint64_t>(left, input.size()));
        co_await take_content(input.substr(0, size));
        input_.consume(size);
        left -= size;
    }
    if (chunk.last) co_return co_await finish_message();
    say(dialogue_.chunk_received(chunk));
    co_return Result<void>();
}

/// Nobody waits for content while the client may be waiting for a reply (RFC 2920 3.2).
net::Awaitable<Result<void>> SmtpSession::wait_for_content() {
    auto flushed = co_await flush();
    if (!flushed) co_return flushed;
    co_return co_await input_.fill(InputBuffer::kContentRoom, content_deadline());
}

net::Awaitable<Result<void>> SmtpSession::skip_chunk(std::uint64_t size) {
    content_bytes_ = 0;
    content_begun_ = services_.timers.now();
    for (std::uint64_t left = size; left > 0;) {
        if (input_.buffered().empty()) {
            auto filled = co_await wait_for_content();
            if (!filled) co_return Unexpected(std::move(filled).error());
        }
        const auto part = std::min<std::uint64_t>(left, input_.buffered().size());
        input_.consume(static_cast<std::size_t>(part));
        left -= part;
        content_bytes_ += part;
    }
    co_return Result<void>();
}

net::Awaitable<void> SmtpSession::take_content(std::string_view bytes) {
    content_bytes_ += bytes.size();
    // NUL needs BINARYMIME, which we do not offer (RFC 3030 3).
    has_nul_ = has_nul_ || std::memchr(bytes.data(), '\0', bytes.size()) != nullptr;
    if (!has_nul_) co_await message_->write(bytes);
}

net::Awaitable<Result<void>> SmtpSession::finish_message() {
    receiving_ = false;
    IncomingMessage::Outcome outcome = IncomingMessage::Dropped();
    if (has_nul_) {
        message::Rejected rejected;
        rejected.reply_code = 554;
        rejected.status = mail::EnhancedStatus(5, 6, 0);
        rejected.text = "NUL in message content";
        outcome = std::move(rejected);
    } else {
        outcome = co_await message_->commit(dialogue_.client().uid, dialogue_.client().label());
    }
    if (IncomingMessage::is_in_doubt(outcome)) {
        // Yes may be a lie, and so may no. A connection that breaks says what we know; the answers
        // to what came before are true.
        log_.warning(message_->ticket().id.str() + ": " + std::get<Error>(outcome).message +
                     "; closing without one");
        (void)co_await flush();
        co_return Unexpected(ErrorCode::Connection, "in doubt");
    }
    if (std::holds_alternative<IncomingMessage::Committed>(outcome)) slot_.message_done();
    say(reply_to(outcome));
    co_return Result<void>();
}

smtp::Reply SmtpSession::reply_to(const IncomingMessage::Outcome& outcome) {
    if (const auto* rejected = std::get_if<message::Rejected>(&outcome)) {
        return dialogue_.refused(smtp::Reply(rejected->reply_code, message::reply_text(*rejected)));
    }
    if (const auto* error = std::get_if<Error>(&outcome)) {
        log_.warning(message_->ticket().id.str() + ": " + error->message);
        return dialogue_.refused(*error);
    }
    return dialogue_.accepted();
}

void SmtpSession::forget_message() {
    message_.reset();
    receiving_ = false;
}

/// The reply leaves with the others of its flight.
void SmtpSession::say(const smtp::Reply& reply) {
    smtp::append_wire(replies_, reply);
}

net::Awaitable<Result<void>> SmtpSession::flush() {
    if (replies_.empty() || mute_) co_return Result<void>();
    slot_.wait_begins(services_.timers.now());
    auto written = co_await net::write(stream_, replies_, command_deadline());
    slot_.wait_ended(services_.timers.now(), 0);
    replies_.clear();
    mute_ = !written;
    co_return written;
}

/// Waits that are interrupted end with Cancelled; between two commands must_leave() is asked.
void SmtpSession::heed(Farewell farewell) {
    farewell_ = farewell;
    const bool idle = input_.is_waiting() && !dialogue_.in_transaction();
    if (farewell == Farewell::Slow || idle) stream_.cancel();
}

bool SmtpSession::must_leave() const {
    return farewell_ && (farewell_ == Farewell::Slow || !dialogue_.in_transaction());
}

/// The session ended before its time: says so in the log, and to a client that may still listen.
net::Awaitable<void> SmtpSession::leave(Error error) {
    std::string reason = "lost connection";
    const std::string& host = services_.dialogue.myhostname;
    smtp::Reply reply;
    if (error.code == ErrorCode::Timeout) {
        reason = "timeout";
        reply = smtp::Reply(421, "4.4.2 " + host + " Error: timeout exceeded");
    } else if (error.code == ErrorCode::Limit) {
        reason = "too much input";
        reply = receiving_ ? smtp::Reply(552, "5.3.4 Error: message file too big")
                           : smtp::Reply(421, "4.7.0 " + host + " Error: command too long");
    } else if (farewell_ == Farewell::Slow) {
        reason = "too slow";
        reply = smtp::Reply(421, "4.4.2 " + host + " Error: too slow");
    } else if (error.code == ErrorCode::Cancelled) {
        reason = "shutting down";
        reply = smtp::Reply(421, "4.3.2 " + host + " Service shutting down");
    }
    std::string where(dialogue_.where());
    if (receiving_) where += " (" + std::to_string(content_bytes_) + " bytes)";
    // To leave without QUIT once the message is in is bad style, and common.
    if (where != "END-OF-MESSAGE" || reason != "lost connection")
        log_.info(reason + " after " + where + " from " + dialogue_.client().label());
    if (reply.code == 0) co_return;
    say(reply);
    (void)co_await flush();
}

/// Twice the limit has been read and dropped: enough patience.
bool SmtpSession::is_oversized() const {
    const std::uint64_t limit = services_.dialogue.message_size_limit;
    return limit != 0 && content_bytes_ / 2 > limit;
}

/// Nobody who is shown the door is waited for.
MonotonicTime SmtpSession::command_deadline() const {
    const MonotonicTime now = services_.timers.now();
    return farewell_ == Farewell::Slow ? now : now + services_.session.smtpd_timeout;
}

MonotonicTime SmtpSession::content_deadline() const {
    return std::min(services_.timers.now() + services_.session.smtpd_timeout,
                    content_begun_ + services_.session.message_time_max);
}

}  // namespace postrider::intake
