// Parameters: mail and orders from local commands.
#pragma once

#include "config/rows/words.h"

namespace postrider::config::rows {

inline constexpr Parameter kSubmissionRows[] = {
    {"authorized_submit_users", List, Served, "static:anyone",
     "Login names that may hand mail over with sendmail."},
    {"authorized_mailq_users", List, Served, "static:anyone",
     "Who may list all of the queue. Unset: root sees all, everyone else their own mail."},
    {"authorized_flush_users", List, Served, "static:anyone",
     "Login names that may flush the queue; root always may."},
    {"local_login_sender_maps", Tables, Served, "static:*",
     "Envelope senders that each login name, or uid:N, may use with sendmail: addresses, @domain, "
     "<>, or * for any."},
    {"empty_address_local_login_sender_maps_lookup_key", Text, Served, "<>",
     "How local_login_sender_maps writes the null sender."},
    {"sendmail_fix_line_endings",
     Choice,
     Served,
     "always",
     "CR before LF in what sendmail reads: always removed, removed if the first line has one "
     "(strict), or never.",
     {1, 0},
     "always strict never"},
    {"sendmail_path", Path, Moot, "/usr/sbin/sendmail", "Where sendmail is installed.", {1, 0}},
    {"mailq_path", Path, Moot, "/usr/bin/mailq", "Where mailq is installed.", {1, 0}},
    {"newaliases_path",
     Path,
     Moot,
     "/usr/bin/newaliases",
     "Where newaliases is installed.",
     {1, 0}},
    {"message_size_limit", Integer, Served, "35882577",
     "Largest message accepted, in bytes; announced as SIZE. 0 means no limit."},
    {"queue_minfree", Integer, Served, "0",
     "Free bytes that the queue's file system must have for mail to be accepted; 0 means no "
     "check."},
    {"content_filter", Text, Refused, "", "External filter recorded by smtpd, pickup, qmqpd."},
    {"receive_override_options", List, Ignored, "",
     "No_unknown_recipient_checks, no_address_mappings, no_header_body_checks, no_milters."},
    {"default_verp_delimiters", Text, Moot, "+=", "VERP delimiters for sendmail -XV.", {2, 2}},
    {"verp_delimiter_filter", Text, Moot, "-=+", "Allowed VERP delimiters.", {1, 0}},
    {"empty_address_recipient",
     Text,
     Served,
     "MAILER-DAEMON",
     "Recipient substituted for an empty recipient address.",
     {1, 0}},
};

}  // namespace postrider::config::rows
