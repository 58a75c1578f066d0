#include "message/trace_field.h"

#include <algorithm>

#include <fmt/format.h>

#include "core/ascii.h"
#include "core/log.h"

namespace postrider::message {
namespace {

// What a client calls itself is anything up to a line; here it must stay one word of the field.
std::string as_word(std::string_view text) {
    std::string word = printable(text);
    std::replace_if(
        word.begin(), word.end(),
        [](char c) { return c == '(' || c == ')' || c == ';' || c == '\\' || is_ascii_space(c); },
        '?');
    return word;
}

std::string address_literal(std::string_view address) {
    const bool is_v6 = address.find(':') != std::string_view::npos;
    return fmt::format("[{}{}]", is_v6 ? "IPv6:" : "", as_word(address));
}

std::string smtp_field(const Submission& submission, std::string_view host, std::string_view name,
                       const std::string& date) {
    const Trace& trace = submission.trace;
    const std::string client = as_word(trace.client_name);
    std::string field = fmt::format("Received: from {} ({} {})\n\tby {} ({}) with {} id {}",
                                    trace.helo.empty() ? client : as_word(trace.helo), client,
                                    address_literal(trace.client_address), host, name,
                                    trace.protocol, submission.queue_id.str());
    // RFC 5321 7.2: with more than one recipient, each would learn of the others.
    const auto& recipients = submission.envelope.recipients;
    if (recipients.size() != 1) return field + ";\n\t" + date;
    return field + fmt::format("\n\tfor <{}>; {}",
                               printable(mail::external(recipients.front().address)), date);
}

}  // namespace

std::string received_field(const Submission& submission, std::string_view myhostname,
                           std::string_view mail_name) {
    const std::string date = mail_date(submission.arrival, submission.zone);
    const std::string& id = submission.queue_id.str();
    switch (submission.trace.door) {
        case Trace::Door::Smtp:
            return smtp_field(submission, myhostname, mail_name, date);
        case Trace::Door::Pickup:
            return fmt::format("Received: by {} ({}, from userid {})\n\tid {}; {}", myhostname,
                               mail_name, submission.trace.uid, id, date);
        case Trace::Door::Internal:
            break;
    }
    return fmt::format("Received: by {} ({})\n\tid {}; {}", myhostname, mail_name, id, date);
}

bool is_stamp_of(std::string_view myhostname, std::string_view mail_name, std::string_view value) {
    // ` by HOST (NAME`, one space for any space between its words.
    std::string words;
    words.reserve(value.size() + 1);
    words += ' ';
    for (const char c : value) {
        if (!is_ascii_space(c)) {
            words += ascii_lower(c);
        } else if (words.back() != ' ') {
            words += ' ';
        }
    }
    const std::string stamp =
        fmt::format(" by {} ({}", ascii_lowercase(myhostname), ascii_lowercase(mail_name));
    return words.find(stamp) != std::string::npos;
}

}  // namespace postrider::message
