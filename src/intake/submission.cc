#include "intake/submission.h"

#include <algorithm>
#include <span>
#include <utility>
#include <vector>

#include "message/address_list.h"
#include "message/date.h"

namespace postrider::intake {
namespace {

constexpr std::uint8_t kTemporaryFailure = 75;  // EX_TEMPFAIL
constexpr std::size_t kReadSize = 64 * 1024;

net::Awaitable<Result<void>> read_exactly(net::Stream& stream, std::span<char> into,
                                          MonotonicTime deadline) {
    while (!into.empty()) {
        auto size = co_await stream.read_some(into, deadline);
        if (!size) co_return Unexpected(std::move(size).error());
        if (*size == 0)
            co_return Unexpected(ErrorCode::Connection, "submission: ends in the middle");
        into = into.subspan(*size);
    }
    co_return Result<void>();
}

net::Awaitable<Result<SubmissionRequest>> read_request(net::Stream& stream,
                                                       MonotonicTime deadline) {
    char preamble[kPreambleSize + kFrameHeadSize];
    auto read = co_await read_exactly(stream, preamble, deadline);
    if (!read) co_return Unexpected(std::move(read).error());
    auto length = decode_preamble(std::string_view(preamble, sizeof preamble));
    if (!length) co_return Unexpected(std::move(length).error());
    std::string fields(*length, '\0');
    read = co_await read_exactly(stream, fields, deadline);
    if (!read) co_return Unexpected(std::move(read).error());
    co_return decode_request(fields);
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

    std::string label() const { return shown_sender + "(" + std::to_string(uid) + ")"; }
};

/// Who sends, or why it may not.
std::optional<SubmissionAnswer> identify(const SubmissionRequest& request, const Log& log,
                                         const SubmissionOptions& options, Caller& caller) {
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
    const std::string key = caller.login ? name : "uid:" + uid;
    if (options.may_send_as && !options.may_send_as(key, caller.sender))
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
net::Awaitable<Result<void>> read_content(net::Stream& stream, IncomingMessage& message,
                                          const Services& services) {
    const MonotonicTime last = services.timers.now() + services.session.message_time_max;
    std::vector<char> buffer(kReadSize);
    ContentFrames frames;
    while (!frames.at_end()) {
        const MonotonicTime deadline =
            std::min(last, services.timers.now() + services.session.smtpd_timeout);
        auto size = co_await stream.read_some(buffer, deadline);
        if (!size) co_return Unexpected(std::move(size).error());
        if (*size == 0)
            co_return Unexpected(ErrorCode::Connection, "submission: ends in the middle");
        std::string_view input(buffer.data(), *size);
        while (!input.empty() && !frames.at_end()) {
            auto step = frames.next(input);
            if (!step) co_return Unexpected(std::move(step).error());
            if (!step->content.empty()) co_await message.write(step->content);
            input.remove_prefix(step->consumed);
        }
    }
    co_return Result<void>();
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

net::Awaitable<Result<SubmissionAnswer>> receive(net::Stream& stream, SubmissionRequest request,
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
    const std::string id = message.ticket().id.str();
    pickup.info(id + ": uid=" + std::to_string(caller.uid) + " from=<" + caller.shown_sender + ">");
    const Log cleanup = services.log.named("cleanup");
    message::Submission submission =
        describe(request, caller, services.timers.clock().now(), std::move(envelope));
    message.begin(services.cleanup, cleanup, std::move(submission));
    auto read = co_await read_content(stream, message, services);
    if (!read) {
        cleanup.info(id + ": removed (canceled)");
        co_return Unexpected(std::move(read).error());
    }
    const IncomingMessage::Outcome outcome = co_await message.commit(caller.uid, "local");
    co_return answer_to(outcome, request, caller, message.ticket(), pickup);
}

/// Hears the program out before it is told: a pipe that breaks while it writes would hide the
/// reason from the people it serves.
net::Awaitable<void> drain(net::Stream& stream, MonotonicTime deadline) {
    std::vector<char> buffer(kReadSize);
    ContentFrames frames;
    while (!frames.at_end()) {
        auto size = co_await stream.read_some(buffer, deadline);
        if (!size || *size == 0) co_return;
        std::string_view input(buffer.data(), *size);
        while (!input.empty() && !frames.at_end()) {
            auto step = frames.next(input);
            if (!step) co_return;
            input.remove_prefix(step->consumed);
        }
    }
}

net::Awaitable<Result<SubmissionAnswer>> receive_request(net::Stream& stream,
                                                         SubmissionRequest request,
                                                         std::int64_t uid, const Services& services,
                                                         const SubmissionOptions& options) {
    Caller caller;
    caller.uid = uid;
    if (auto refused = identify(request, services.log.named("sendmail"), options, caller)) {
        co_return *std::move(refused);
    }
    co_return co_await receive(stream, std::move(request), std::move(caller), services, options);
}

}  // namespace

net::Awaitable<Result<SubmissionAnswer>> receive_submission(net::Stream& stream, std::int64_t uid,
                                                            const Services& services,
                                                            const SubmissionOptions& options) {
    auto request =
        co_await read_request(stream, services.timers.now() + services.session.smtpd_timeout);
    if (!request) co_return Unexpected(std::move(request).error());
    if (request->mode != SubmissionRequest::Mode::Submit) {
        co_return Unexpected(ErrorCode::Invalid, "submission: SMTP is not for a file");
    }
    co_return co_await receive_request(stream, *std::move(request), uid, services, options);
}

net::Awaitable<void> serve_submission(net::Stream& stream, std::int64_t uid,
                                      const Services& services, const SubmissionOptions& options) {
    const Log log = services.log.named("pickup");
    const auto deadline = [&] { return services.timers.now() + services.session.smtpd_timeout; };
    auto request = co_await read_request(stream, deadline());
    if (!request) {
        log.warning("uid=" + std::to_string(uid) + ": " + request.error().message);
        stream.close();
        co_return;
    }
    if (request->mode == SubmissionRequest::Mode::Smtp) {
        Caller caller;
        caller.uid = uid;
        auto refused = identify(*request, log, options, caller);
        // As Postfix: with a sender that the maps do not allow there is no session at all.
        if (refused) {
            std::string text = smtp::wire(smtp::Reply(421, "4.7.1 " + refused->text));
            (void)co_await net::write(stream, text, deadline());
            stream.close();
            co_return;
        }
        SmtpSession session(stream, local_client(uid), services);
        co_await session.run(false);
        co_return;
    }
    auto answer = co_await receive_request(stream, *std::move(request), uid, services, options);
    if (answer) {
        const std::string bytes = encode_answer(*answer);
        (void)co_await net::write(stream, bytes, deadline());
        if (answer->status != 0) co_await drain(stream, deadline());
    } else {
        log.warning("uid=" + std::to_string(uid) + ": " + answer.error().message);
    }
    stream.close();
}

}  // namespace postrider::intake
