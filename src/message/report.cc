#include "message/report.h"

#include <algorithm>
#include <chrono>
#include <optional>

#include <fmt/format.h>

#include "core/ascii.h"
#include "core/log.h"
#include "message/header_field.h"
#include "message/report_lines.h"
#include "message/report_words.h"

namespace postrider::message {

namespace {

constexpr std::size_t kMessageIdMax = 512;

/// The original's Message-ID, if it is one that may stand in a header of ours.
std::string original_message_id(std::string_view content) {
    const std::string value = first_value(content, "Message-ID", kMessageIdMax);
    const auto id = trimmed(value);
    const bool usable = id.size() > 2 && id.size() <= kMessageIdMax && id.front() == '<' &&
                        id.back() == '>' && is_ascii(id) &&
                        id.find_first_of(" \t") == std::string_view::npos && printable(id) == id;
    return usable ? std::string(id) : std::string();
}

/// As Postfix does it: what is 8bit anyway is said in UTF-8.
bool is_eight_bit(const ReportRequest& request) {
    return request.smtputf8_enable || request.original.body == mail::BodyType::EightBitMime;
}

/// Writes one report. Every text from outside passes through text() or status_text(): after them
/// it holds no line break and no control character.
class Writer : private ReportLines {
public:
    explicit Writer(const ReportRequest& request)
        : ReportLines(is_eight_bit(request)),
          request_(request),
          headers_only_(!returns_full_message(request)),
          global_(request.original.smtputf8 && request.smtputf8_enable),
          eight_bit_(is_eight_bit(request)),
          boundary_(boundary()) {}

    Report write() {
        header_section();
        notification_part();
        status_part();
        returned_part();
        line("");
        line("--" + boundary_ + "--");

        Report report = finish();
        report.header_length = header_length_;
        report.message_id = std::move(message_id_);
        report.subject = report_subject(request_.kind, request_.to_postmaster);
        return report;
    }

private:
    // As Postfix makes it. The original must not hold it, or a part of it would look like ours.
    std::string boundary() const {
        const auto seconds = std::chrono::floor<std::chrono::seconds>(request_.now);
        auto text = fmt::format("{}.{}/{}", request_.original_id.str(),
                                seconds.time_since_epoch().count(), quotable(request_.host));
        while (request_.original_content.find("--" + text) != std::string::npos) text += '=';
        return text;
    }

    /// For a quoted string in a structured field.
    static std::string quotable(std::string_view text) {
        auto result = printable(text);
        for (char& c : result)
            if (c == '"' || c == '\\' || c == ' ' || !is_ascii(c)) c = '?';
        return result;
    }

    /// As it may stand in the delivery status, which is ASCII unless it is `global`.
    std::string status_text(std::string_view raw) const {
        auto result = printable(raw);
        if (!global_) mask_8bit(result);
        return result;
    }

    void begin_part(std::string_view description) {
        line("");
        line("--" + boundary_);
        line(fmt::format("Content-Description: {}", description));
    }

    void header_section();
    void notification_part();
    void status_part();
    void recipient_status(const ReportedRecipient&);
    void returned_part();

    std::string address_type(std::string_view address) const {
        return global_ && !is_ascii(address) && is_utf8(address) ? "utf-8" : "rfc822";
    }
    /// The address before rewriting; nothing if it is the same.
    static std::optional<std::string> original_address(const mail::Recipient& recipient) {
        auto original = mail::external(recipient.original);
        if (original.empty() || equals_ignoring_case(original, mail::external(recipient.address)))
            return std::nullopt;
        return original;
    }

    const ReportRequest& request_;
    const bool headers_only_;
    const bool global_;  // The types of RFC 6533, for a message that asked for SMTPUTF8.
    const bool eight_bit_;
    const std::string boundary_;
    std::uint32_t header_length_ = 0;
    std::string message_id_;
};

void Writer::header_section() {
    const auto subject = report_subject(request_.kind, request_.to_postmaster);
    const auto to =
        request_.to.empty() ? mail::external(request_.original.reverse_path) : request_.to;
    message_id_ = head({request_.id, request_.now, request_.zone, request_.host, request_.origin,
                        request_.mail_name, subject, to});
    if (request_.threaded) {
        const auto id = original_message_id(request_.original_content);
        if (!id.empty()) {
            line("References: " + id);
            line("In-Reply-To: " + id);
        }
    }
    line(request_.to_postmaster ? "Auto-Submitted: auto-generated"
                                : "Auto-Submitted: auto-replied");
    line("MIME-Version: 1.0");
    line("Content-Type: multipart/report; report-type=delivery-status;");
    line("\tboundary=\"" + boundary_ + "\"");
    if (eight_bit_)
        line("Content-Transfer-Encoding: 8bit");
    else if (request_.original.body == mail::BodyType::SevenBit)
        line("Content-Transfer-Encoding: 7bit");
    line("Message-Id: " + message_id_);
    line("");
    header_length_ = static_cast<std::uint32_t>(length());
    line("This is a MIME-encapsulated message.");
}

void Writer::notification_part() {
    begin_part("Notification");
    line(eight_bit_ ? "Content-Type: text/plain; charset=utf-8"
                    : "Content-Type: text/plain; charset=us-ascii");
    if (eight_bit_) line("Content-Transfer-Encoding: 8bit");
    line("");
    for (const auto& words : report_words(request_)) line(text(words));
    for (const auto& [recipient, disposition] : request_.recipients) {
        std::string entry = "<" + mail::external(recipient.address) + ">";
        if (const auto original = original_address(recipient))
            entry += " (expanded from <" + *original + ">)";
        entry += ": " + (disposition.text.empty() ? "no reason was given" : disposition.text);
        line("");
        wrapped(text(entry));
    }
}

void Writer::status_part() {
    begin_part("Delivery report");
    line(global_ ? "Content-Type: message/global-delivery-status"
                 : "Content-Type: message/delivery-status");
    if (global_) line("Content-Transfer-Encoding: 8bit");
    line("");
    line("Reporting-MTA: dns; " + status_text(request_.host));
    if (!request_.original.envelope_id.empty())
        line("Original-Envelope-Id: " + status_text(request_.original.envelope_id));
    line("X-Postfix-Queue-ID: " + request_.original_id.str());
    const auto sender = mail::external(request_.original.reverse_path);
    if (!sender.empty())
        line(fmt::format("X-Postfix-Sender: {}; {}", address_type(sender), status_text(sender)));
    line("Arrival-Date: " + status_text(mail_date(request_.arrival, request_.arrival_zone)));
    for (const auto& recipient : request_.recipients) recipient_status(recipient);
}

void Writer::recipient_status(const ReportedRecipient& reported) {
    const auto& [recipient, disposition] = reported;
    const auto final_address = mail::external(recipient.address);
    line("");
    line(fmt::format("Final-Recipient: {}; {}", address_type(final_address),
                     status_text(final_address)));
    if (!recipient.original_recipient.empty()) {
        line("Original-Recipient: " + status_text(recipient.original_recipient));
    } else if (const auto original = original_address(recipient)) {
        line(fmt::format("Original-Recipient: {}; {}", address_type(*original),
                         status_text(*original)));
    }
    switch (request_.kind) {
        case ReportKind::Failure:
            line("Action: failed");
            break;
        case ReportKind::Delay:
            line("Action: delayed");
            break;
        case ReportKind::Success:
            line("Action: relayed");
            break;
    }
    line("Status: " + mail::to_string(disposition.status));
    if (!disposition.remote_mta.empty())
        wrapped("Remote-MTA: dns; " + status_text(disposition.remote_mta));
    if (!disposition.diagnostic.empty())
        wrapped("Diagnostic-Code: smtp; " + status_text(disposition.diagnostic));
    else
        wrapped("Diagnostic-Code: X-Postfix; " + status_text(disposition.text));
    if (request_.kind == ReportKind::Delay)
        line("Will-Retry-Until: " +
             status_text(mail_date(request_.retry_until, request_.retry_zone)));
}

void Writer::returned_part() {
    const bool undelivered = request_.kind != ReportKind::Success;
    begin_part(fmt::format("{}{}", undelivered ? "Undelivered " : "",
                           headers_only_ ? "Message Headers" : "Message"));
    if (global_)
        line(headers_only_ ? "Content-Type: message/global-headers"
                           : "Content-Type: message/global");
    else
        line(headers_only_ ? "Content-Type: text/rfc822-headers" : "Content-Type: message/rfc822");
    if (eight_bit_) line("Content-Transfer-Encoding: 8bit");
    line("");
    line("Return-Path: <" + text(mail::external(request_.original.reverse_path)) + ">");
    for (std::string_view rest = request_.original_content; !rest.empty();) {
        const auto next = take_line(rest);
        if (headers_only_ && !continues_field(next) && field_name_length(next) == 0) break;
        // Accepted content has no CR here; what a damaged disk makes of it must not travel on.
        std::string kept(next);
        std::replace(kept.begin(), kept.end(), '\r', ' ');
        line(kept);
    }
}

}  // namespace

bool returns_full_message(const ReportRequest& request) {
    return request.kind == ReportKind::Failure && !request.headers_only &&
           request.original.dsn_return != mail::DsnReturn::Headers &&
           (request.returned_size_max == 0 || request.original_size <= request.returned_size_max);
}

Report write_report(const ReportRequest& request) {
    return Writer(request).write();
}

}  // namespace postrider::message
