// What a mechanism must offer before it may be used (smtp_sasl_security_options).
#pragma once

#include <string_view>

#include "core/result.h"

namespace postrider::sasl {

struct SecurityOptions {
    bool noplaintext = false;      ///< None that shows the password to whoever listens.
    bool noanonymous = false;      ///< None without a user.
    bool noactive = false;         ///< None that an active attacker can subvert.
    bool nodictionary = false;     ///< None open to guessing from what was overheard.
    bool forward_secrecy = false;  ///< Old sessions stay secret when the password leaks.
    bool mutual_auth = false;      ///< The server proves that it knows the password, too.
};

/// Words parted by commas or white space. Otherwise ErrorCode::Invalid with the text that Postfix
/// logs: `unknown SASL security options value "bogus" in "bogus"`.
Result<SecurityOptions> parse_security_options(std::string_view list);

}  // namespace postrider::sasl
