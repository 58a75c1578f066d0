#include "message/report.h"

#include <algorithm>
#include <chrono>
#include <optional>

#include <fmt/chrono.h>
#include <fmt/format.h>

#include "core/ascii.h"
#include "core/log.h"
#include "message/content_writer.h"
#include "message/header_field.h"
#include "message/report_words.h"

namespace postrider::message {

namespace {

constexpr std::size_t kRecordMax = 2048;  // line_length_limit, for the size.
constexpr std::size_t kWrapColumn = 79;
constexpr std::size_t kWrapIndent = 4;
constexpr std::size_t kMessageIdMax = 512;

/// Takes the next line off `content`, without its end.
std::string_view next_line(std::string_view& content) {
    const auto end = content.find('\n');
    auto line = content.substr(0, end);
    content.remove_prefix(end == std::string_view::npos ? content.size() : end + 1);
    if (line.ends_with('\r')) line.remove_suffix(1);
    return line;
}

bool continues_field(std::string_view line) {
    return line.starts_with(' ') || line.starts_with('\t');
}

/// The original's Message-ID, if it is one that may stand in a header of ours.
std::string original_message_id(std::string_view content) {
    while (!content.empty()) {
        const auto line = next_line(content);
        if (line.empty()) break;
        if (field_of(line.substr(0, field_name_length(line))) != Field::MessageId) continue;
        std::string value(value_of(line));
        while (continues_field(content)) value += next_line(content);
        const auto id = trimmed(value);
        const bool usable = id.size() > 2 && id.size() <= kMessageIdMax && id.front() == '<' &&
                            id.back() == '>' && is_ascii(id) &&
                            id.find_first_of(" \t") == std::string_view::npos &&
                            printable(id) == id;
        return usable ? std::string(id) : std::string();
    }
    return {};
}

/// Writes one report. Every text from outside passes through text() or status_text(): after them
/// it holds no line break and no control character.
class Writer {
public:
    explicit Writer(const ReportRequest& request)
        : request_(request),
          headers_only_(!returns_full_message(request)),
          global_(request.original.smtputf8 && request.smtputf8_enable),
          eight_bit_(request.smtputf8_enable ||
                     request.original.body == mail::BodyType::EightBitMime),
          boundary_(boundary()) {}

    Report write() {
        header_section();
        notification_part();
        status_part();
        returned_part();
        line("");
        line("--" + boundary_ + "--");

        report_.size = out_.size();
        report_.longest_line = static_cast<std::uint32_t>(out_.longest_line());
        report_.checksum = out_.checksum();
        report_.has_8bit = out_.has_8bit();
        report_.content = out_.take();
        return std::move(report_);
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

    /// As it may stand in our header and in the part for people.
    std::string text(std::string_view raw) const {
        auto result = printable(raw);
        if (!eight_bit_) mask_8bit(result);
        return result;
    }

    /// As it may stand in the delivery status, which is ASCII unless it is `global`.
    std::string status_text(std::string_view raw) const {
        auto result = printable(raw);
        if (!global_) mask_8bit(result);
        return result;
    }

    static void mask_8bit(std::string& text) {
        for (char& c : text)
            if (!is_ascii(c)) c = '?';
    }

    void line(std::string_view text) { out_.line(text); }

    /// Breaks between words, so that lines have at most 79 characters where words allow it.
    void wrapped(std::string_view words) {
        std::string current;
        bool first = true;
        while (!words.empty()) {
            const auto end = std::min(words.find_first_of(" \t"), words.size());
            const auto next = std::min(words.find_first_not_of(" \t", end), words.size());
            if (!without_trailing_space(current).empty() && current.size() + end > kWrapColumn) {
                line(without_trailing_space(current));
                current.assign(kWrapIndent, ' ');
                first = false;
            }
            current.append(words.substr(0, next));
            words.remove_prefix(next);
        }
        const auto rest = without_trailing_space(current);
        if (first || !rest.empty()) line(rest);
    }

    static std::string_view without_trailing_space(std::string_view text) {
        return text.substr(0, text.find_last_not_of(" \t") + 1);
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

    std::string recipient_of_report() const;
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
    const bool global_;     // The types of RFC 6533, for a message that asked for SMTPUTF8.
    const bool eight_bit_;  // Labelled 8bit, and UTF-8 for people.
    const std::string boundary_;
    ContentWriter out_{kRecordMax};
    Report report_;
};

std::string Writer::recipient_of_report() const {
    auto to = request_.to.empty() ? mail::external(request_.original.reverse_path) : request_.to;
    const auto address = mail::parse_address(to);
    if (address && !address->is_null() && address->domain.empty() && !request_.origin.empty())
        to += "@" + request_.origin;
    return text(to);
}

void Writer::header_section() {
    const auto seconds = std::chrono::floor<std::chrono::seconds>(request_.now);
    const auto date = text(mail_date(request_.now, request_.zone));
    const auto host = text(request_.host);
    report_.message_id = fmt::format("<{:%Y%m%d%H%M%S}.{}@{}>",
                                     fmt::gmtime(std::chrono::system_clock::to_time_t(seconds)),
                                     request_.id.str(), host);
    report_.subject = report_subject(request_.kind, request_.to_postmaster);

    line(fmt::format("Received: by {} ({})", host, text(request_.mail_name)));
    line(fmt::format("\tid {}; {}", request_.id.str(), date));
    line("Date: " + date);
    line(fmt::format("From: Mail Delivery System <MAILER-DAEMON@{}>",
                     text(request_.origin.empty() ? request_.host : request_.origin)));
    line("Subject: " + report_.subject);
    line("To: " + recipient_of_report());
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
    line("Message-Id: " + report_.message_id);
    line("");
    report_.header_length = static_cast<std::uint32_t>(out_.length());
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
        const auto next = next_line(rest);
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
