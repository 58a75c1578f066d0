#include "message/trace_field.h"

#include <algorithm>

#include "core/ascii.h"
#include "core/log.h"
#include "core/text.h"

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
    return concat({is_v6 ? "[IPv6:" : "[", as_word(address), "]"});
}

std::string smtp_field(const Submission& submission, std::string_view host, std::string_view name,
                       const std::string& date) {
    const Trace& trace = submission.trace;
    const std::string client = as_word(trace.client_name);
    std::string field =
        concat({"Received: from ", trace.helo.empty() ? client : as_word(trace.helo), " (", client,
                " ", address_literal(trace.client_address), ")\n\tby ", host, " (", name, ") with ",
                trace.protocol, " id ", submission.queue_id.str()});
    // RFC 5321 7.2: with more than one recipient, each would learn of the others.
    const auto& recipients = submission.envelope.recipients;
    if (recipients.size() == 1) {
        append(field,
               {"\n\tfor <", printable(mail::external(recipients.front().address)), ">; ", date});
    } else {
        append(field, {";\n\t", date});
    }
    return field;
}

/// Takes the words of `pattern` off the front, without regard to case; a space in it stands for any
/// white space.
bool takes(std::string_view& text, std::string_view pattern) {
    for (const char c : pattern) {
        if (text.empty()) return false;
        if (c != ' ') {
            if (ascii_lower(text.front()) != ascii_lower(c)) return false;
            text.remove_prefix(1);
            continue;
        }
        if (!is_ascii_space(text.front())) return false;
        while (!text.empty() && is_ascii_space(text.front())) text.remove_prefix(1);
    }
    return true;
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
            return concat({"Received: by ", myhostname, " (", mail_name, ", from userid ",
                           std::to_string(submission.trace.uid), ")\n\tid ", id, "; ", date});
        case Trace::Door::Internal:
            break;
    }
    return concat({"Received: by ", myhostname, " (", mail_name, ")\n\tid ", id, "; ", date});
}

bool is_stamp_of(std::string_view myhostname, std::string_view mail_name, std::string_view value) {
    for (std::size_t i = 0; i < value.size(); ++i) {
        if (i > 0 && !is_ascii_space(value[i - 1])) continue;
        std::string_view text = value.substr(i);
        if (takes(text, "by ") && takes(text, myhostname) && takes(text, " (") &&
            takes(text, mail_name)) {
            return true;
        }
    }
    return false;
}

}  // namespace postrider::message
