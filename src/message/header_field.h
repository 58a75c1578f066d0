// Header fields as lines: where the name ends, which names mean something to us.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace postrider::message {

/// The length of the field name at the start of a line, white space before the colon not counted;
/// 0 if the line does not begin a header field.
std::size_t field_name_length(std::string_view line);

/// Fields that we look into, count or supply.
enum class Field : std::uint8_t {
    Other,
    Bcc,
    Cc,
    ContentTransferEncoding,
    ContentType,
    Date,
    From,
    MessageId,
    OtherMime,       ///< Content-*: and MIME-Version that we only recognise.
    OtherRecipient,  ///< Further fields that hold recipients' addresses.
    OtherSender,     ///< Further fields that hold senders' addresses.
    Received,
    ResentBcc,
    ResentCc,
    ResentDate,
    ResentFrom,
    ResentMessageId,
    ResentReplyTo,
    ResentSender,
    ResentTo,
    To,
};

Field field_of(std::string_view name);

bool is_mime(Field);
bool is_resent(Field);
/// Its body is a list of addresses to be rewritten, as of senders or of recipients.
bool holds_senders(Field);
bool holds_recipients(Field);

/// `Name: value`, unfolded or with LF in it, taken apart.
std::string_view name_of(std::string_view header);
/// Behind the colon and white space.
std::string_view value_of(std::string_view header);

/// Views into one header field.
struct FieldParts {
    explicit FieldParts(std::string_view header)
        : text(header), name(name_of(header)), value(value_of(header)), kind(field_of(name)) {}

    std::string_view text;  ///< The whole.
    std::string_view name;
    std::string_view value;
    Field kind;
};

/// The line goes on with the field before it.
bool continues_field(std::string_view line);
/// Takes the next line off `text`, without its end.
std::string_view take_line(std::string_view& text);
/// The unfolded value of the first field of that name, empty if there is none. No more is read once
/// it is longer than `max`. Ends at the empty line.
std::string first_value(std::string_view header_section, std::string_view name, std::size_t max);

}  // namespace postrider::message
