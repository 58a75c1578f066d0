// Parameters: logging in at the next hop.
#pragma once

#include "config/rows/words.h"

namespace postrider::config::rows {

inline constexpr Parameter kSmtpSaslRows[] = {
    {"smtp_sasl_auth_enable", Boolean, Served, "no",
     "Log in where smtp_sasl_password_maps has a password for the next hop."},
    {"smtp_sasl_password_maps", Tables, Served, "",
     "Tables of user:password by next hop or host; by sender first if "
     "smtp_sender_dependent_authentication is set."},
    {"smtp_sasl_mechanism_filter", List, Served, "",
     "Mechanisms that may be used, of those the server offers; !name excludes one."},
    {"smtp_sasl_security_options", List, Served, "noplaintext, noanonymous",
     "Kinds of mechanisms that may not be used: noplaintext, noactive, nodictionary, noanonymous; "
     "or must: forward_secrecy, mutual_auth."},
    {"smtp_sasl_tls_security_options", List, Served, "$smtp_sasl_security_options",
     "The same inside TLS."},
    {"smtp_sasl_tls_verified_security_options", List, Served, "$smtp_sasl_tls_security_options",
     "The same inside TLS with a verified certificate."},
    {"smtp_sasl_type", Text, Moot, "cyrus", "SASL implementation of Postfix.", {1, 0}},
    {"smtp_sasl_path", Text, Moot, "", "Setting of Postfix's SASL implementation."},
    {"smtp_sasl_password_result_delimiter",
     Text,
     Served,
     ":",
     "What parts user name and password in a table.",
     {1, 1}},
    {"smtp_sender_dependent_authentication", Boolean, Served, "no",
     "Look passwords up by sender first."},
    {"smtp_sasl_auth_soft_bounce", Boolean, Ignored, "yes",
     "A refused login defers the mail instead of returning it."},
    {"smtp_sasl_auth_cache_name", Text, Ignored, "", "Remember 535 failures to avoid repeats."},
    {"smtp_sasl_auth_cache_time", Time, Moot, "90d", "How long refused logins are remembered."},
    {"send_cyrus_sasl_authzid", Boolean, Ignored, "no", "Send authzid = user name too."},
    {"cyrus_sasl_config_path", Path, Moot, "", "Cyrus configuration dirs."},
};

}  // namespace postrider::config::rows
