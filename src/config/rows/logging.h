// Parameters: the log.
#pragma once

#include "config/rows/words.h"

namespace postrider::config::rows {

inline constexpr Parameter kLoggingRows[] = {
    {"syslog_facility",
     Choice,
     Served,
     "mail",
     "Facility of syslog that log lines go to.",
     {1, 0},
     "auth authpriv cron daemon ftp kern lpr mail news security syslog user uucp local0 local1 "
     "local2 local3 local4 local5 local6 local7"},
    {"syslog_name",
     Text,
     Served,
     "${multi_instance_name?{$multi_instance_name}:{postrider}}",
     "What each log line's tag begins with, as in postrider/smtp.",
     {1, 0}},
    {"maillog_file", Path, Served, "", "Log to this file, or /dev/stdout, instead of syslog."},
    {"maillog_file_prefixes",
     List,
     Served,
     "/var, /dev/stdout",
     "Where maillog_file may be.",
     {1, 0}},
    {"maillog_file_rotate_suffix",
     Text,
     Ignored,
     "%Y%m%d-%H%M%S",
     "Suffix postfix logrotate appends.",
     {1, 0}},
    {"maillog_file_compressor", Text, Ignored, "gzip", "Compressor run after rotation.", {1, 0}},
    {"maillog_file_permissions",
     Choice,
     Served,
     "0600",
     "Mode of a newly made log file.",
     {1, 0},
     "0600 0640 0644"},
    {"postlog_service_name", Text, Moot, "postlog", "Postlogd service (unix-dgram) name.", {1, 0}},
    {"info_log_address_format",
     Choice,
     Ignored,
     "external",
     "How addresses stand in log lines: external quotes them as in SMTP, internal does not.",
     {1, 0},
     "external internal"},
    {"delay_logging_resolution_limit",
     Integer,
     Served,
     "2",
     "Most digits after the point in delay= and delays=.",
     {0, 6}},
    {"respectful_logging", Boolean, Moot, "${{$compatibility_level} <level {3.6} ? {no} : {yes}}",
     "Use allowlist/denylist words."},
    {"backwards_bounce_logfile_compatibility", Boolean, Moot, "yes",
     "Write also the old one-line bounce log record."},
};

}  // namespace postrider::config::rows
