#include "message/header_field.h"

#include <array>
#include <utility>

#include "core/ascii.h"

namespace postrider::message {
namespace {

using Entry = std::pair<std::string_view, Field>;

constexpr std::array<Entry, 29> kFields{{
    {"apparently-to", Field::OtherRecipient},
    {"bcc", Field::Bcc},
    {"cc", Field::Cc},
    {"content-description", Field::OtherMime},
    {"content-disposition", Field::OtherMime},
    {"content-id", Field::OtherMime},
    {"content-transfer-encoding", Field::ContentTransferEncoding},
    {"content-type", Field::ContentType},
    {"date", Field::Date},
    {"disposition-notification-to", Field::OtherSender},
    {"errors-to", Field::OtherSender},
    {"from", Field::From},
    {"mail-followup-to", Field::OtherSender},
    {"message-id", Field::MessageId},
    {"mime-version", Field::OtherMime},
    {"received", Field::Received},
    {"reply-to", Field::OtherSender},
    {"resent-bcc", Field::ResentBcc},
    {"resent-cc", Field::ResentCc},
    {"resent-date", Field::ResentDate},
    {"resent-from", Field::ResentFrom},
    {"resent-message-id", Field::ResentMessageId},
    {"resent-reply-to", Field::ResentReplyTo},
    {"resent-sender", Field::ResentSender},
    {"resent-to", Field::ResentTo},
    {"return-path", Field::OtherSender},
    {"return-receipt-to", Field::OtherSender},
    {"sender", Field::OtherSender},
    {"to", Field::To},
}};

}  // namespace

std::size_t field_name_length(std::string_view line) {
    std::size_t length = 0;
    while (length < line.size() && line[length] != ':' && line[length] != ' ' &&
           line[length] != '\t') {
        if (!is_ascii(line[length]) || is_ascii_control(line[length])) return 0;
        ++length;
    }
    // RFC 5322 4.5: an obsolete field may have white space before its colon.
    const std::size_t colon = line.find_first_not_of(" \t", length);
    return colon != std::string_view::npos && line[colon] == ':' ? length : 0;
}

Field field_of(std::string_view name) {
    for (const auto& [known, field] : kFields) {
        if (equals_ignoring_case(known, name)) return field;
    }
    return Field::Other;
}

bool is_mime(Field field) {
    return field == Field::ContentTransferEncoding || field == Field::ContentType ||
           field == Field::OtherMime;
}

bool is_resent(Field field) {
    return field >= Field::ResentBcc && field <= Field::ResentTo;
}

bool holds_senders(Field field) {
    return field == Field::From || field == Field::OtherSender || field == Field::ResentFrom ||
           field == Field::ResentSender;
}

bool holds_recipients(Field field) {
    return field == Field::To || field == Field::Cc || field == Field::Bcc ||
           field == Field::ResentTo || field == Field::ResentCc || field == Field::ResentBcc ||
           field == Field::ResentReplyTo || field == Field::OtherRecipient;
}

std::string_view name_of(std::string_view header) {
    return header.substr(0, field_name_length(header));
}

std::string_view value_of(std::string_view header) {
    const std::size_t colon = header.find(':');
    if (colon == std::string_view::npos) return {};
    std::string_view value = header.substr(colon + 1);
    while (!value.empty() && is_ascii_space(value.front())) value.remove_prefix(1);
    return value;
}

bool continues_field(std::string_view line) {
    return line.starts_with(' ') || line.starts_with('\t');
}

std::string_view take_line(std::string_view& text) {
    const auto end = text.find('\n');
    auto line = text.substr(0, end);
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
    if (line.ends_with('\r')) line.remove_suffix(1);
    return line;
}

std::string first_value(std::string_view header_section, std::string_view name, std::size_t max) {
    while (!header_section.empty()) {
        const auto line = take_line(header_section);
        if (line.empty()) break;
        if (!equals_ignoring_case(name_of(line), name)) continue;
        std::string value(value_of(line));
        while (value.size() <= max && continues_field(header_section)) {
            value += take_line(header_section);
        }
        return value;
    }
    return {};
}

}  // namespace postrider::message
