#include "smtp/commands.h"

#include <algorithm>
#include <charconv>

#include "core/ascii.h"

namespace postrider::smtp {

namespace {

constexpr std::string_view kHexDigits = "0123456789ABCDEF";

bool has_control(std::string_view text) {
    return std::any_of(text.begin(), text.end(), is_ascii_control);
}

Unexpected refused(std::string_view what) {
    return Unexpected(ErrorCode::Invalid, std::string(what) + " cannot stand in an SMTP command");
}

Result<std::string> greeting_command(std::string_view verb, std::string_view name) {
    if (name.empty() || has_control(name) || name.find(' ') != std::string_view::npos)
        return refused("host name");
    return std::string(verb) + " " + std::string(name) + "\r\n";
}

bool has_control(const mail::Address& address) {
    return has_control(address.local_part) || has_control(address.domain);
}

/// `<a@x.example>`. A `<` or `>` in a domain would end the path early: what follows would be read
/// as parameters.
Result<std::string> path(const mail::Address& address, std::string_view what) {
    if (has_control(address) || address.domain.find_first_of("<> ") != std::string::npos)
        return refused(what);
    return "<" + mail::external(address) + ">";
}

std::string notify_parameter(const mail::Notify& notify) {
    if (notify.is_unspecified()) return {};
    if (notify.never) return " NOTIFY=NEVER";
    std::string words;
    const auto add = [&](bool wanted, std::string_view word) {
        if (!wanted) return;
        if (!words.empty()) words += ',';
        words += word;
    };
    add(notify.success, "SUCCESS");
    add(notify.failure, "FAILURE");
    add(notify.delay, "DELAY");
    return " NOTIFY=" + words;
}

bool is_atom(std::string_view text) {
    return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) {
        return is_ascii_alnum(c) || c == '-' || c == '.';
    });
}

/// False if there is no such character.
bool append_utf8(std::uint32_t point, std::string& out) {
    if (point > 0x10ffff || (point >= 0xd800 && point <= 0xdfff)) return false;
    const auto add = [&](std::uint32_t byte) { out += static_cast<char>(byte); };
    if (point < 0x80) {
        add(point);
    } else if (point < 0x800) {
        add(0xc0 | point >> 6);
    } else if (point < 0x10000) {
        add(0xe0 | point >> 12);
        add(0x80 | (point >> 6 & 0x3f));
    } else {
        add(0xf0 | point >> 18);
        add(0x80 | (point >> 12 & 0x3f));
        add(0x80 | (point >> 6 & 0x3f));
    }
    if (point >= 0x80) add(0x80 | (point & 0x3f));
    return true;
}

/// RFC 3461 4.2: an address type, `;`, and the address as xtext. RFC 6533 has a type of its own
/// for addresses beyond ASCII.
std::string orcpt_parameter(const mail::Recipient& recipient, bool smtputf8) {
    const std::string_view given = recipient.original_recipient;
    const auto semicolon = given.find(';');
    std::string type = "rfc822";
    std::string address = mail::external(recipient.original);
    if (semicolon != std::string_view::npos && is_atom(given.substr(0, semicolon))) {
        type = given.substr(0, semicolon);
        address = given.substr(semicolon + 1);
    }
    if (!is_ascii(address)) {
        // Without SMTPUTF8 there is no way to write it; the parameter is optional.
        if (!smtputf8 || !is_utf8(address)) return {};
        if (!equals_ignoring_case(type, "utf-8")) type = "utf-8";
    }
    if (address.empty()) return {};
    if (equals_ignoring_case(type, "utf-8")) {
        return " ORCPT=" + type + ";" + unitext(address);
    }
    return " ORCPT=" + type + ";" + xtext(address);
}

}  // namespace

Result<std::string> ehlo_command(std::string_view name) {
    return greeting_command("EHLO", name);
}

Result<std::string> helo_command(std::string_view name) {
    return greeting_command("HELO", name);
}

Result<std::string> mail_command(const mail::Envelope& envelope, const Capabilities& server,
                                 const MailOptions& options) {
    auto reverse_path = path(envelope.reverse_path, "sender address");
    if (!reverse_path) return reverse_path;
    std::string line = "MAIL FROM:" + *reverse_path;
    if (server.size && options.size) line += " SIZE=" + std::to_string(*options.size);
    if (server.eight_bit_mime) {
        if (envelope.body == mail::BodyType::EightBitMime) line += " BODY=8BITMIME";
        if (envelope.body == mail::BodyType::SevenBit) line += " BODY=7BIT";
    }
    if (server.dsn) {
        if (!envelope.envelope_id.empty()) line += " ENVID=" + xtext(envelope.envelope_id);
        if (envelope.dsn_return == mail::DsnReturn::Full) line += " RET=FULL";
        if (envelope.dsn_return == mail::DsnReturn::Headers) line += " RET=HDRS";
    }
    if (server.smtputf8 && options.smtputf8) line += " SMTPUTF8";
    if (server.auth && options.auth_null) line += " AUTH=<>";
    return line + "\r\n";
}

Result<std::string> rcpt_command(const mail::Recipient& recipient, const Capabilities& server) {
    if (recipient.address.is_null()) return refused("null recipient");
    auto forward_path = path(recipient.address, "recipient address");
    if (!forward_path) return forward_path;
    std::string line = "RCPT TO:" + *forward_path;
    if (server.dsn)
        line += orcpt_parameter(recipient, server.smtputf8) + notify_parameter(recipient.notify);
    return line + "\r\n";
}

std::string bdat_command(std::uint64_t size, bool last) {
    return "BDAT " + std::to_string(size) + (last ? " LAST\r\n" : "\r\n");
}

std::string xtext(std::string_view text) {
    std::string out;
    for (const char c : text) {
        if (c > ' ' && c < 0x7f && c != '+' && c != '=') {
            out += c;
            continue;
        }
        const auto byte = static_cast<unsigned char>(c);
        out += '+';
        out += kHexDigits[byte >> 4];
        out += kHexDigits[byte & 15];
    }
    return out;
}

std::optional<std::string> decode_xtext(std::string_view text) {
    std::string out;
    for (std::size_t i = 0; i < text.size(); ++i) {
        const char c = text[i];
        if (c <= ' ' || c >= 0x7f || c == '=') return std::nullopt;
        if (c != '+') {
            out += c;
            continue;
        }
        // RFC 3461 4: only upper-case digits; lower-case ones are met in the wild and harmless.
        if (i + 2 >= text.size()) return std::nullopt;
        const auto high = kHexDigits.find(ascii_upper(text[i + 1]));
        const auto low = kHexDigits.find(ascii_upper(text[i + 2]));
        if (high == std::string_view::npos || low == std::string_view::npos) return std::nullopt;
        out += static_cast<char>(high << 4 | low);
        i += 2;
    }
    return out;
}

std::string unitext(std::string_view text) {
    std::string out;
    for (const char c : text) {
        const bool plain =
            !is_ascii(c) || (c > ' ' && c < 0x7f && c != '+' && c != '=' && c != '\\');
        if (plain) {
            out += c;
            continue;
        }
        const auto byte = static_cast<unsigned char>(c);
        out.append("\\x{").append({kHexDigits[byte >> 4], kHexDigits[byte & 15]}).append("}");
    }
    return out;
}

std::optional<std::string> decode_unitext(std::string_view text) {
    std::string out;
    while (!text.empty()) {
        const std::size_t escape = std::min(text.find('\\'), text.size());
        out += text.substr(0, escape);
        text.remove_prefix(escape);
        if (text.empty()) break;
        const std::size_t end = text.find('}');
        if (!text.starts_with("\\x{") || end == std::string_view::npos) return std::nullopt;
        const std::string_view digits = text.substr(3, end - 3);
        std::uint32_t point = 0;
        const auto [stop, error] =
            std::from_chars(digits.data(), digits.data() + digits.size(), point, 16);
        if (error != std::errc() || stop != digits.data() + digits.size()) return std::nullopt;
        if (!append_utf8(point, out)) return std::nullopt;
        text.remove_prefix(end + 1);
    }
    return out;
}

}  // namespace postrider::smtp
