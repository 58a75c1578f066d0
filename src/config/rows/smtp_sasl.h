// Parameters: logging in at the next hop.
#pragma once

#include "config/parameters.h"

namespace postrider::config::rows {

inline constexpr Parameter kSmtpSaslRows[] = {
    {"smtp_sasl_auth_enable", Boolean, Served, "no",
     "Use AUTH when offered and a password entry exists."},
    {"smtp_sasl_password_maps", Tables, Served, "",
     "Tables of user:password by next hop or host; by sender first if "
     "smtp_sender_dependent_authentication is set."},
    {"smtp_sasl_mechanism_filter", List, Served, "",
     "Keep only matching server mechanisms; !name excludes; case-insensitive."},
    {"smtp_sasl_security_options", List, Served, "noplaintext, noanonymous",
     "Noplaintext, noactive, nodictionary, noanonymous, forward_secrecy, mutual_auth."},
    {"smtp_sasl_tls_security_options", List, Served, "$smtp_sasl_security_options",
     "Used when TLS is on (default: the plain one)."},
    {"smtp_sasl_tls_verified_security_options", List, Served, "$smtp_sasl_tls_security_options",
     "Used when TLS and the certificate matched."},
    {"smtp_sasl_type", Text, Moot, "cyrus", "SASL implementation of Postfix.", {1, 0}},
    {"smtp_sasl_path", Text, Moot, "", "Setting of Postfix's SASL implementation."},
    {"smtp_sasl_password_result_delimiter",
     Text,
     Served,
     ":",
     "What parts user name and password in a table.",
     {1, 1}},
    {"smtp_sender_dependent_authentication", Boolean, Served, "no",
     "Look up by sender first; disables connection caching for such mail."},
    {"smtp_sasl_auth_soft_bounce", Boolean, Served, "yes", "Turn 5xx AUTH failure into 4xx."},
    {"smtp_sasl_auth_cache_name", Text, Ignored, "", "Remember 535 failures to avoid repeats."},
    {"smtp_sasl_auth_cache_time", Time, Moot, "90d", "How long refused logins are remembered."},
    {"send_cyrus_sasl_authzid", Boolean, Ignored, "no", "Send authzid = user name too."},
    {"cyrus_sasl_config_path", Path, Moot, "", "Cyrus configuration dirs."},
};

}  // namespace postrider::config::rows
