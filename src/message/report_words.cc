#include "message/report_words.h"

#include <chrono>

#include <fmt/format.h>

namespace postrider::message {

namespace {

using Lines = std::vector<std::string>;

/// `1 hour`, `4 hours`; never less than one.
std::string amount(std::int64_t count, std::string_view unit) {
    count = std::max<std::int64_t>(count, 1);
    return fmt::format("{} {}{}", count, unit, count == 1 ? "" : "s");
}

void add_failure(const ReportRequest& request, Lines& lines) {
    lines.insert(
        lines.end(),
        {
            "Sorry: your message has not reached the recipients listed below, and it",
            "will not be tried again.",
            returns_full_message(request) ? "The whole message is attached, nothing of it is lost."
                                          : "The beginning of the message is attached.",
            "",
            "What you can do: look at the address first; most often a letter is wrong.",
            "If the address is right, the answer quoted below says what the other side",
            "objects to. Correct that, then send the message again.",
        });
}

void add_delay(const ReportRequest& request, Lines& lines) {
    using std::chrono::duration_cast;
    const auto waited = duration_cast<std::chrono::hours>(request.delay_warning_time);
    const auto lifetime =
        std::chrono::round<std::chrono::days>(request.retry_until - request.arrival);
    lines.insert(lines.end(),
                 {
                     "This is only a warning. Do not send your message again.",
                     "",
                     "It has been waiting for more than " + amount(waited.count(), "hour") +
                         " to be delivered to the",
                     "recipients listed below. Delivery is tried again and again until the message",
                     "is " + amount(lifetime.count(), "day") +
                         " old; if it still has not arrived then, you will be told.",
                     "",
                     "What you can do: nothing, as a rule. If it is urgent, reach the recipients",
                     "in another way.",
                 });
}

void add_success(Lines& lines) {
    lines.insert(lines.end(),
                 {
                     "Your message was handed over to the next mail system for the recipients",
                     "listed below, and accepted there. You asked to be told.",
                     "",
                     "You need not do anything. That system sends no such confirmations of its",
                     "own; should it fail to deliver the message, it will still tell you.",
                 });
}

}  // namespace

std::string report_subject(ReportKind kind, bool to_postmaster) {
    switch (kind) {
        case ReportKind::Failure:
            return to_postmaster ? "Postmaster Copy: Undelivered Mail"
                                 : "Undelivered Mail Returned to Sender";
        case ReportKind::Delay:
            return to_postmaster ? "Postmaster Warning: Delayed Mail"
                                 : "Delayed Mail (still being retried)";
        case ReportKind::Success:
            return "Successful Mail Delivery Report";
    }
    return {};
}

std::vector<std::string> report_words(const ReportRequest& request) {
    Lines lines = {"This is the mail system at host " + request.host + ".", ""};
    switch (request.kind) {
        case ReportKind::Failure:
            add_failure(request, lines);
            break;
        case ReportKind::Delay:
            add_delay(request, lines);
            break;
        case ReportKind::Success:
            add_success(lines);
            break;
    }
    lines.insert(lines.end(),
                 {
                     "",
                     "If you need help, write to postmaster and include this report. You may",
                     "leave out the attached message.",
                     "",
                     "                   The mail system",
                 });
    return lines;
}

}  // namespace postrider::message
