#include "message/summary.h"

#include <algorithm>

#include <fmt/format.h>

#include "core/log.h"
#include "message/header_field.h"
#include "message/report_lines.h"

namespace postrider::message {

namespace {

/// Of what a server said about one recipient.
constexpr std::size_t kReasonMax = 500;

/// At most so many bytes of it, no character cut in two.
std::string shortened(std::string_view text, std::size_t max) {
    if (text.size() <= max) return std::string(text);
    while (max > 0 && (static_cast<unsigned char>(text[max]) & 0xc0) == 0x80) --max;
    return std::string(text.substr(0, max)) + "...";
}

void words(ReportLines& out, const SummaryRequest& request, std::size_t recipients) {
    const bool one = request.failed.size() == 1;
    out.line("This is the mail system at host " + out.text(request.host) + ".");
    out.line("");
    out.line("So much of your mail has failed that this one message tells of all of it,");
    out.line("instead of a report for each.");
    out.line("");
    out.line(fmt::format("{} message{} of yours {} not reached {} recipient{}, listed below.",
                         request.failed.size(), one ? "" : "s", one ? "has" : "have", recipients,
                         recipients == 1 ? "" : "s"));
    out.line("They will not be tried again.");
    out.line("");
    out.line("What you can do: look at the reasons. If they are all alike, stop what sends");
    out.line("these messages first. The messages themselves are not attached.");
    out.line("");
    out.line("If you need help, write to postmaster and include this message.");
    out.line("");
    out.line("                   The mail system");
}

}  // namespace

Report write_summary(const SummaryRequest& request) {
    ReportLines out(request.smtputf8_enable);
    std::size_t recipients = 0;
    for (const FailedMessage& one : request.failed) recipients += one.recipients.size();
    const std::string subject = fmt::format("Undelivered Mail: {} message{}", request.failed.size(),
                                            request.failed.size() == 1 ? "" : "s");
    const std::string id = out.head({request.id, request.now, request.zone, request.host,
                                     request.origin, request.mail_name, subject, request.to});
    out.line("Auto-Submitted: auto-replied");
    out.line("MIME-Version: 1.0");
    out.line(request.smtputf8_enable ? "Content-Type: text/plain; charset=utf-8"
                                     : "Content-Type: text/plain; charset=us-ascii");
    if (request.smtputf8_enable) out.line("Content-Transfer-Encoding: 8bit");
    out.line("Message-Id: " + id);
    out.line("");
    const auto header_length = static_cast<std::uint32_t>(out.length());
    words(out, request, recipients);
    for (const FailedMessage& one : request.failed) {
        out.line("");
        out.line(fmt::format("{}  {}", one.id.str(), out.text(mail_date(one.arrival, one.zone))));
        if (!one.subject.empty()) out.wrapped("Subject: " + out.text(one.subject));
        for (const auto& [recipient, disposition] : one.recipients) {
            const std::string reason =
                disposition.text.empty() ? "no reason was given" : disposition.text;
            out.wrapped(out.text("<" + mail::external(recipient.address) +
                                 ">: " + shortened(reason, kReasonMax)));
        }
    }
    Report report = out.finish();
    report.header_length = header_length;
    report.message_id = id;
    report.subject = subject;
    return report;
}

std::string subject_of(std::string_view header_section) {
    return shortened(first_value(header_section, "Subject", kSubjectMax), kSubjectMax);
}

}  // namespace postrider::message
