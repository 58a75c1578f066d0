// Parameters: lookup tables and low-level behaviour.
#pragma once

#include "config/rows/words.h"

namespace postrider::config::rows {

inline constexpr Parameter kTablesRows[] = {
    {"berkeley_db_create_buffer_size",
     Integer,
     Moot,
     "16777216",
     "Buffer of the Berkeley DB library while building.",
     {1, 0}},
    {"berkeley_db_read_buffer_size",
     Integer,
     Moot,
     "131072",
     "Buffer of the Berkeley DB library while reading.",
     {1, 0}},
    {"lmdb_map_size",
     Integer,
     Moot,
     "16777216",
     "Initial LMDB map size; grown automatically when full.",
     {1, 0}},
    {"non_bdb_migration_level",
     Text,
     Moot,
     "disable",
     "How Postfix itself does without Berkeley DB.",
     {1, 0}},
    {"non_bdb_custom_mapping", List, Moot, "",
     "Extra/override type mappings, bdb-type = other-type."},
    {"non_bdb_migration_log_redirect", Boolean, Moot, "yes", "Log each hash/btree redirection."},
    {"non_bdb_migration_allow_root_prefixes", List, Moot, "/etc /usr/local/etc",
     "Where root-owned sources may be re-indexed automatically."},
    {"non_bdb_migration_allow_user_prefixes", List, Moot,
     "$data_directory /var/lib/mailman /var/lib/mailman3",
     "Where sources of users may be indexed again automatically."},
    {"socketmap_max_reply_size", Integer, Moot, "100000", "Max socketmap reply bytes.", {1, 0}},
    {"smtputf8_enable", Boolean, Served, "${{$compatibility_level} <level {1} ? {no} : {yes}}",
     "Accept and send addresses and headers in UTF-8 (RFC 6531)."},
    {"smtputf8_autodetect_classes",
     List,
     Ignored,
     "sendmail, verify",
     "Sources for which SMTPUTF8 need is detected: sendmail, smtpd, qmqpd, forward, bounce, "
     "notify, verify, all.",
     {1, 0}},
    {"strict_smtputf8", Boolean, Served, "no", "Reject UTF-8 unless SMTPUTF8 was requested."},
    {"enable_idna2003_compatibility", Boolean, Ignored, "no", "Transitional IDNA mapping."},
    {"disable_dns_lookups", Boolean, Served, "no",
     "No DNS in the SMTP client (same as smtp_dns_support_level=disabled)."},
    {"dns_ncache_ttl_fix_enable", Boolean, Moot, "no", "Workaround for stub resolvers."},
    {"dnssec_probe", Text, Moot, "ns:.",
     "Probe query used to see that a resolver validates DNSSEC."},
};

}  // namespace postrider::config::rows
