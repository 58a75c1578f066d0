// The commands a client sends, as complete lines with CRLF.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "core/result.h"
#include "mail/envelope.h"
#include "smtp/capabilities.h"

namespace postrider::smtp {

inline constexpr std::string_view kDataCommand = "DATA\r\n";
inline constexpr std::string_view kRsetCommand = "RSET\r\n";
inline constexpr std::string_view kQuitCommand = "QUIT\r\n";
inline constexpr std::string_view kStartTlsCommand = "STARTTLS\r\n";

/// ErrorCode::Invalid if the name is empty or holds a space or control character.
Result<std::string> ehlo_command(std::string_view name);
Result<std::string> helo_command(std::string_view name);

struct MailOptions {
    /// For SIZE=; nothing if not known, as when the content will be converted.
    std::optional<std::uint64_t> size;
    bool smtputf8 = false;   ///< The message needs SMTPUTF8 (RFC 6531 3.4).
    bool auth_null = false;  ///< Say AUTH=<> (smtp_send_dummy_mail_auth).
};

/// MAIL with the parameters that the server offers and the envelope has: SIZE, BODY, ENVID, RET,
/// SMTPUTF8, AUTH. ErrorCode::Invalid if the address holds a control character.
Result<std::string> mail_command(const mail::Envelope&, const Capabilities&, const MailOptions&);

/// RCPT, with ORCPT and NOTIFY where the server offers DSN. ORCPT is sent even if the submitter
/// gave none: the original address then. ErrorCode::Invalid as above, and for a null address.
Result<std::string> rcpt_command(const mail::Recipient&, const Capabilities&);

/// RFC 3030: `BDAT 1000 LAST`. The chunk follows at once.
std::string bdat_command(std::uint64_t size, bool last);

/// xtext (RFC 3461 4): `+`, `=` and whatever is not printable ASCII become `+XX`.
std::string xtext(std::string_view text);
/// Nothing if the text is not xtext.
std::optional<std::string> decode_xtext(std::string_view text);

/// How ORCPT writes an address of type utf-8 (RFC 6533 3): UTF-8 as it is, and `\x{2B}` for what
/// cannot stand in a parameter.
std::string unitext(std::string_view text);
/// Nothing if the text is not unitext.
std::optional<std::string> decode_unitext(std::string_view text);

}  // namespace postrider::smtp
