// Parameters: reports to senders and to the postmaster.
#pragma once

#include "config/rows/words.h"

namespace postrider::config::rows {

inline constexpr Parameter kNoticesRows[] = {
    {"notify_classes", List, Ignored, "resource, software",
     "Trouble that the postmaster is told of: bounce, 2bounce, data, delay, policy, protocol, "
     "resource, software."},
    {"bounce_notice_recipient",
     Text,
     Ignored,
     "postmaster",
     "Who gets copies of bounces (class bounce).",
     {1, 0}},
    {"2bounce_notice_recipient",
     Text,
     Ignored,
     "postmaster",
     "Who gets bounces that cannot be returned (class 2bounce).",
     {1, 0}},
    {"delay_notice_recipient",
     Text,
     Ignored,
     "postmaster",
     "Who gets copies of delay notices (class delay).",
     {1, 0}},
    {"error_notice_recipient",
     Text,
     Ignored,
     "postmaster",
     "Who is told of other trouble (classes data, policy, protocol, resource, software).",
     {1, 0}},
    {"double_bounce_sender",
     Text,
     Served,
     "double-bounce",
     "Sender of notices that must not come back.",
     {1, 0}},
    {"bounce_size_limit",
     Integer,
     Served,
     "50000",
     "Most bytes of a message that a bounce returns; of a larger one it returns the header.",
     {1, 0}},
    {"sender_report_limit", Integer, Served, "100",
     "Most bounces, and most delay notices, that a sender gets in sender_report_interval; failures "
     "beyond it are told of in a summary. 0 means no limit."},
    {"sender_report_interval",
     Time,
     Served,
     "1h",
     "Time that sender_report_limit counts in, and that a summary covers.",
     {1, 0}},
    {"alert_command", Path, Served, "",
     "Program that is run when an account or the queue needs a person, and when that is over: "
     "PROGRAM state "
     "account reason since. The unit postrider.service lets nothing be executed but postriderd: "
     "name the program, its interpreter and what it runs in ExecPaths= (systemctl edit "
     "postrider)."},
    {"bounce_template_file", Path, Ignored, "", "Custom texts (bounce(5))."},
    {"enable_threaded_bounces", Boolean, Served, "no",
     "Let reports refer to the original message, so that mail programs show them together."},
    {"disable_verp_bounces", Boolean, Moot, "no", "One bounce per message even with VERP."},
    {"address_verify_sender", Text, Moot, "$double_bounce_sender", "Sender of probes."},
};

}  // namespace postrider::config::rows
