// What the commands of a session say about the client: whether it waits, dawdles or speaks HTTP.
#pragma once

#include <string_view>

#include "smtp/command_line.h"

namespace postrider::intake {

/// Commands behind which a client must wait for the answer (RFC 2920 3.1).
bool ends_a_group(smtp::Verb);

/// Commands that bring no mail nearer, of which smtpd_junk_command_limit are free.
bool is_junk(smtp::Verb);

/// The word is a message header in the place of a command: somebody makes a browser post to us.
bool is_header(std::string_view word);

/// `PUT / HTTP/1.1`: what follows may be a form that speaks SMTP.
bool is_http(std::string_view line);

/// The beginning of what cannot be an SMTP command: TLS, HTTP, SSH.
bool is_foreign(std::string_view beginning);

}  // namespace postrider::intake
