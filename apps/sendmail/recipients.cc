#include "recipients.h"

#include <cstddef>

#include "message/address_list.h"
#include "message/header_field.h"

namespace postrider::apps {
namespace {

using message::Field;

bool is_blank(char c) {
    return c == ' ' || c == '\t';
}

/// Where the line at `begin` ends: behind its LF.
std::size_t line_end(std::string_view text, std::size_t begin) {
    const std::size_t newline = text.find('\n', begin);
    return newline == std::string_view::npos ? text.size() : newline + 1;
}

}  // namespace

bool names_recipients(std::string_view text) {
    while (text.starts_with("From ") || text.starts_with(">From "))
        text.remove_prefix(line_end(text, 0));
    for (std::size_t begin = 0; begin < text.size();) {
        std::size_t end = line_end(text, begin);
        while (end < text.size() && is_blank(text[end])) end = line_end(text, end);
        const std::string_view header = text.substr(begin, end - begin);
        const std::size_t length = message::field_name_length(header);
        if (length == 0) break;
        begin = end;

        const Field field = message::field_of(header.substr(0, length));
        const bool plain = field == Field::To || field == Field::Cc || field == Field::Bcc;
        const bool resent =
            field == Field::ResentTo || field == Field::ResentCc || field == Field::ResentBcc;
        if (!plain && !resent) continue;
        if (!message::parse_address_list(message::value_of(header)).empty()) return true;
    }
    return false;
}

}  // namespace postrider::apps
