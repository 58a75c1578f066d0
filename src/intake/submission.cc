#include "intake/submission.h"

#include <algorithm>
#include <utility>

#include "intake/input_buffer.h"
#include "message/address_list.h"
#include "message/date.h"

namespace postrider::intake {
namespace {

constexpr std::uint8_t kTemporaryFailure = 75;  // EX_TEMPFAIL
/// The request and a small message come in one read.
constexpr std::size_t kFirstRead = 16 * 1024;

net::Awaitable<Result<void>> await_bytes(InputBuffer& input, std::size_t size,
                                         MonotonicTime deadline) {
    while (input.buffered().size() < size) {
        const std::size_t missing = size - input.buffered().size();
        auto filled = co_await input.fill(std::max(missing, kFirstRead), deadline);
        if (!filled && filled.error().code == ErrorCode::Connection)
            co_return Unexpected(ErrorCode::Connection, "submission: ends in the middle");
        if (!filled) co_return filled;
    }
    co_return Result<void>();
}

net::Awaitable<Result<SubmissionRequest>> read_request(InputBuffer& input, MonotonicTime deadline) {
    constexpr std::size_t head = kPreambleSize + kFrameHeadSize;
    auto read = co_await await_bytes(input, head, deadline);
    if (!read) co_return Unexpected(std::move(read).error());
    auto length = decode_preamble(input.buffered().substr(0, head));
    if (!length) co_return Unexpected(std::move(length).error());
    input.consume(head);
    read = co_await await_bytes(input, *length, deadline);
    if (!read) co_return Unexpected(std::move(read).error());
    auto request = decode_request(input.buffered().substr(0, *length));
    input.consume(*length);
    co_return request;
}

SubmissionAnswer refusal(std::string text) {
    SubmissionAnswer answer;
    answer.status = kTemporaryFailure;
    answer.text = std::move(text);
    return answer;
}

/// A caller, with what it wants and what we know of it.
struct Caller {
    std::int64_t uid = -1;
    std::optional<Login> login;
    mail::Address sender;
    std::string shown_sender;  ///< `alice`, as error messages have it.
    std::string drop;          ///< What it left in maildrop (queue::NewMessage).

    std::string label() const { return shown_sender + "(" + std::to_string(uid) + ")"; }
};

/// Who sends, or why it may not.
std::optional<SubmissionAnswer> identify(const SubmissionRequest& request, const Log& log,
                                         const Services& services, const SubmissionOptions& options,
                                         Caller& caller) {
    if (options.find_login) caller.login = options.find_login(caller.uid);
    const std::string uid = std::to_string(caller.uid);
    const std::string name = caller.login ? caller.login->name : "unknown";
    if (options.may_submit && !options.may_submit(name))
        return refusal("User " + name + "(" + uid + ") is not allowed to submit mail");

    if (request.sender) {
        const auto addresses = message::parse_address_list(*request.sender);
        if (!addresses.empty()) caller.sender = addresses.front();
        if (addresses.size() > 1)
            log.warning("-f option specified malformed sender: " + *request.sender);
        caller.shown_sender = mail::external(caller.sender);
    } else {
        if (!caller.login) return refusal("no login name found for user ID " + uid);
        caller.sender = mail::Address(caller.login->name, {});
        caller.shown_sender = caller.login->name;
    }
    if (!services.dialogue.may_send_as) return std::nullopt;
    const auto allowed = services.dialogue.may_send_as(caller.uid, caller.sender);
    if (!allowed) {
        SubmissionAnswer answer = refusal(caller.label() + ": Temporary lookup failure");
        answer.is_temporary = true;
        return answer;
    }
    if (!*allowed)
        return refusal("not authorized to use sender='" + mail::internal(caller.sender) + "'");
    return std::nullopt;
}

std::optional<SubmissionAnswer> read_recipients(const SubmissionRequest& request,
                                                const SubmissionOptions& options,
                                                const Caller& caller, mail::Envelope& envelope) {
    for (const std::string& argument : request.recipients) {
        auto addresses = message::parse_address_list(argument);
        if (addresses.empty()) addresses.emplace_back();
        for (mail::Address& address : addresses) {
            mail::Recipient recipient(std::move(address));
            recipient.notify = request.notify;
            envelope.recipients.push_back(std::move(recipient));
        }
        if (envelope.recipients.size() > options.recipient_limit)
            return refusal(caller.label() + ": too many recipients");
    }
    if (envelope.recipients.empty() && !request.extract_recipients)
        return refusal(caller.label() +
                       ": Recipient addresses must be specified on the command line or via the "
                       "-t option");
    return std::nullopt;
}

message::Submission describe(const SubmissionRequest& request, const Caller& caller,
                             WallTime arrival, mail::Envelope envelope) {
    message::Submission submission;
    submission.arrival = arrival;
    submission.zone = message::system_zone(arrival);
    submission.context =
        request.gateway ? message::RewriteContext::Remote : message::RewriteContext::Local;
    submission.trace.door = message::Trace::Door::Pickup;
    submission.trace.uid = caller.uid;
    submission.full_name = request.full_name;
    if (submission.full_name.empty() && caller.login)
        submission.full_name = caller.login->full_name;
    submission.extract_recipients = request.extract_recipients;
    submission.dot_ends = !request.dot_is_data;
    submission.envelope = std::move(envelope);
    return submission;
}

/// Reads to the end frame. What follows a lone dot is read and forgotten.
net::Awaitable<Result<void>> read_content(InputBuffer& input, IncomingMessage& message,
                                          const Services& services) {
    const MonotonicTime last = services.timers.now() + services.session.message_time_max;
    ContentFrames frames;
    while (true) {
        std::string_view bytes = input.buffered();
        while (!bytes.empty() && !frames.at_end()) {
            auto step = frames.next(bytes);
            if (!step) co_return Unexpected(std::move(step).error());
            if (!step->content.empty()) co_await message.write(step->content);
            bytes.remove_prefix(step->consumed);
        }
        input.consume(input.buffered().size() - bytes.size());
        if (frames.at_end()) co_return Result<void>();
        const MonotonicTime deadline =
            std::min(last, services.timers.now() + services.session.smtpd_timeout);
        auto filled = co_await await_bytes(input, 1, deadline);
        if (!filled) co_return filled;
    }
}

SubmissionAnswer answer_to(const IncomingMessage::Outcome& outcome,
                           const SubmissionRequest& request, const Caller& caller,
                           const queue::Ticket& ticket, const Log& log) {
    if (const auto* rejected = std::get_if<message::Rejected>(&outcome)) {
        if (request.extract_recipients && rejected->status == mail::EnhancedStatus(5, 5, 1))
            return refusal(caller.label() + ": No recipient addresses found in message header");
        SubmissionAnswer answer = refusal(caller.label() + ": " + rejected->text);
        answer.is_temporary = !rejected->is_permanent();
        return answer;
    }
    if (const auto* error = std::get_if<Error>(&outcome)) {
        log.warning(ticket.id.str() + ": " + error->message);
        SubmissionAnswer answer = refusal(caller.label() + ": queue file write error");
        answer.is_temporary = true;
        return answer;
    }
    SubmissionAnswer answer;
    answer.status = 0;
    answer.text = ticket.id.str();
    return answer;
}

net::Awaitable<Result<SubmissionAnswer>> receive(InputBuffer& input, SubmissionRequest request,
                                                 Caller caller, const Services& services,
                                                 const SubmissionOptions& options) {
    const Log pickup = services.log.named("pickup");
    mail::Envelope envelope;
    envelope.reverse_path = caller.sender;
    envelope.body = request.body;
    envelope.dsn_return = request.dsn_return;
    envelope.envelope_id = request.envelope_id;
    if (auto refused = read_recipients(request, options, caller, envelope)) {
        co_return *std::move(refused);
    }

    auto ticket = co_await services.inbox.open();
    if (!ticket) {
        pickup.warning("NOQUEUE: " + ticket.error().message);
        SubmissionAnswer answer = refusal(caller.label() + ": queue file write error");
        answer.is_temporary = true;
        co_return answer;
    }
    IncomingMessage message(services.inbox, *std::move(ticket));
    message.came_from(caller.drop);
    const std::string id = message.ticket().id.str();
    pickup.info(id + ": uid=" + std::to_string(caller.uid) + " from=<" + caller.shown_sender + ">");
    const Log cleanup = services.log.named("cleanup");
    message::Submission submission =
        describe(request, caller, services.timers.clock().now(), std::move(envelope));
    message.begin(services.cleanup, cleanup, std::move(submission));
    auto read = co_await read_content(input, message, services);
    if (!read) {
        cleanup.info(id + ": removed (canceled)");
        co_return Unexpected(std::move(read).error());
    }
    const IncomingMessage::Outcome outcome = co_await message.commit(caller.uid, "local");
    co_return answer_to(outcome, request, caller, message.ticket(), pickup);
}

/// Hears the program out before it is told: a pipe that breaks while it writes would hide the
/// reason from the people it serves.
net::Awaitable<void> drain(InputBuffer& input, MonotonicTime deadline) {
    ContentFrames frames;
    while (true) {
        std::string_view bytes = input.buffered();
        while (!bytes.empty() && !frames.at_end()) {
            auto step = frames.next(bytes);
            if (!step) co_return;
            bytes.remove_prefix(step->consumed);
        }
        input.consume(input.buffered().size());
        if (frames.at_end()) co_return;
        auto filled = co_await input.fill(kFirstRead, deadline);
        if (!filled) co_return;
    }
}

net::Awaitable<Result<SubmissionAnswer>> receive_request(InputBuffer& input,
                                                         SubmissionRequest request, Caller caller,
                                                         const Services& services,
                                                         const SubmissionOptions& options) {
    if (auto refused =
            identify(request, services.log.named("sendmail"), services, options, caller)) {
        co_return *std::move(refused);
    }
    co_return co_await receive(input, std::move(request), std::move(caller), services, options);
}

/// The SMTP session of `sendmail -bs`.
net::Awaitable<void> serve_stand_alone(net::Stream& stream, const InputBuffer& input,
                                       const SubmissionRequest& request, std::int64_t uid,
                                       const Services& services, const SubmissionOptions& options,
                                       Slot& slot) {
    Caller caller;
    caller.uid = uid;
    // As Postfix: with a sender that the maps do not allow there is no session at all.
    if (auto refused = identify(request, services.log.named("pickup"), services, options, caller)) {
        const std::string text = smtp::wire(smtp::Reply(421, "4.7.1 " + refused->text));
        const MonotonicTime deadline = services.timers.now() + services.session.smtpd_timeout;
        (void)co_await net::write(stream, text, deadline);
        stream.close();
        co_return;
    }
    SmtpSession session(stream, local_client(uid), services, slot);
    // A program that does not wait for the greeting has its first commands read with the request.
    session.start_with(input.buffered());
    co_await session.run(false);
}

}  // namespace

net::Awaitable<Result<SubmissionAnswer>> receive_submission(net::Stream& stream, std::int64_t uid,
                                                            const Services& services,
                                                            const SubmissionOptions& options,
                                                            std::string drop) {
    Slot slot;
    InputBuffer input(stream, services.timers, slot);
    auto request =
        co_await read_request(input, services.timers.now() + services.session.smtpd_timeout);
    if (!request) co_return Unexpected(std::move(request).error());
    if (request->mode != SubmissionRequest::Mode::Submit) {
        co_return Unexpected(ErrorCode::Invalid, "submission: SMTP is not for a file");
    }
    Caller caller;
    caller.uid = uid;
    caller.drop = std::move(drop);
    co_return co_await receive_request(input, *std::move(request), std::move(caller), services,
                                       options);
}

net::Awaitable<void> serve_submission(net::Stream& stream, std::int64_t uid,
                                      const Services& services, const SubmissionOptions& options,
                                      Slot& slot) {
    const Log log = services.log.named("pickup");
    const auto deadline = [&] { return services.timers.now() + services.session.smtpd_timeout; };
    bool slow = false;
    slot.on_farewell([&](Farewell farewell) {
        // One message is its own transaction: it may end, unless it holds up others.
        slow = farewell == Farewell::Slow;
        if (slow) stream.cancel();
    });
    InputBuffer input(stream, services.timers, slot);
    auto request = co_await read_request(input, deadline());
    if (request && request->mode == SubmissionRequest::Mode::Smtp) {
        co_await serve_stand_alone(stream, input, *request, uid, services, options, slot);
        co_return;
    }
    Result<SubmissionAnswer> answer = Unexpected(ErrorCode::Cancelled, "");
    if (request) {
        Caller caller;
        caller.uid = uid;
        answer = co_await receive_request(input, *std::move(request), std::move(caller), services,
                                          options);
    } else {
        answer = Unexpected(std::move(request).error());
    }
    slot.on_farewell({});
    if (answer) {
        const std::string bytes = encode_answer(*answer);
        (void)co_await net::write(stream, bytes, deadline());
        if (answer->status != 0) co_await drain(input, deadline());
    } else if (slow) {
        log.warning("uid=" + std::to_string(uid) + ": too slow");
        const std::string bytes = encode_answer(busy_answer());
        (void)co_await net::write(stream, bytes, services.timers.now());
    } else {
        log.warning("uid=" + std::to_string(uid) + ": " + answer.error().message);
    }
    stream.close();
}

SubmissionAnswer busy_answer() {
    SubmissionAnswer answer = refusal("mail system is busy, try again later");
    answer.is_temporary = true;
    return answer;
}

}  // namespace postrider::intake
