#include "message/missing_headers.h"

#include <algorithm>
#include <chrono>

#include <fmt/format.h>

#include "message/full_name.h"

namespace postrider::message {
namespace {

constexpr std::size_t kFoldedLineMax = 70;

std::string utc_stamp(WallTime time) {
    using namespace std::chrono;
    const auto second = floor<seconds>(time);
    const auto day = floor<days>(second);
    const year_month_day date(day);
    const hh_mm_ss clock(second - day);
    return fmt::format("{:04}{:02}{:02}{:02}{:02}{:02}", static_cast<int>(date.year()),
                       static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()),
                       clock.hours().count(), clock.minutes().count(), clock.seconds().count());
}

// A long queue id is unique for ever and needs no time.
std::string new_message_id(const Submission& submission, const std::string& host) {
    const std::string& id = submission.queue_id.str();
    if (submission.queue_id.is_long()) return fmt::format("<{}@{}>", id, host);
    return fmt::format("<{}.{}@{}>", utc_stamp(submission.created), id, host);
}

std::string from_field(std::string_view name, const CleanupOptions& options,
                       const Submission& submission, const mail::Address& sender) {
    if (sender.is_null()) return fmt::format("{}: MAILER-DAEMON", name);
    const std::string address = mail::external(sender);
    const std::string& charset = options.full_name_encoding_charset;
    if (options.header_from_format == HeaderFromFormat::Standard) {
        const std::string full_name = phrase(submission.full_name, charset);
        if (full_name.empty()) return fmt::format("{}: {}", name, address);
        return folded(fmt::format("{}: {}\n<{}>", name, full_name, address));
    }
    const std::string full_name = comment(submission.full_name, charset);
    if (full_name.empty()) return fmt::format("{}: {}", name, address);
    return folded(fmt::format("{}: {}\n({})", name, address, full_name));
}

}  // namespace

MissingHeaders missing_headers(const SeenFields& seen, const CleanupOptions& options,
                               const Submission& submission, const mail::Address& sender) {
    MissingHeaders missing;
    const std::string prefix = seen.any_resent() ? "Resent-" : "";
    if (!seen.has(seen.any_resent() ? Field::ResentMessageId : Field::MessageId)) {
        missing.message_id = new_message_id(submission, options.rewrite.myhostname);
        missing.fields.push_back(prefix + "Message-Id: " + missing.message_id);
    }
    if (!seen.has(seen.any_resent() ? Field::ResentDate : Field::Date)) {
        missing.fields.push_back(prefix +
                                 "Date: " + mail_date(submission.arrival, submission.zone));
    }
    if (!seen.has(seen.any_resent() ? Field::ResentFrom : Field::From)) {
        missing.fields.push_back(from_field(prefix + "From", options, submission, sender));
    }
    const bool names_recipient = seen.has(Field::To) || seen.has(Field::Cc) ||
                                 seen.has(Field::ResentTo) || seen.has(Field::ResentCc);
    const std::string& undisclosed = options.undisclosed_recipients_header;
    if (!names_recipient && field_name_length(undisclosed) > 0) {
        missing.fields.push_back(undisclosed);
    }
    return missing;
}

std::string folded(std::string header) {
    std::size_t line = 0;  // Where the line that is being filled starts.
    std::size_t lf = header.find('\n');
    while (lf != std::string::npos) {
        const std::size_t next = header.find('\n', lf + 1);
        if (std::min(next, header.size()) - line < kFoldedLineMax) {
            header[lf] = ' ';
        } else {
            line = lf + 1;
        }
        lf = next;
    }
    return header;
}

}  // namespace postrider::message
