// One message that tells of many failed ones: what a sender gets instead of the thousandth report.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/clock.h"
#include "mail/queue_id.h"
#include "message/date.h"
#include "message/report.h"

namespace postrider::message {

/// One message that failed, for some of its recipients or for all.
struct FailedMessage {
    mail::QueueId id;
    WallTime arrival;
    Zone zone;            ///< At `arrival`.
    std::string subject;  ///< As it stands in the header; may be empty.
    std::vector<ReportedRecipient> recipients;
};

struct SummaryRequest {
    mail::QueueId id;  ///< The summary's own.
    WallTime now;
    Zone zone;  ///< At `now`.
    std::string host;
    std::string origin;
    std::string mail_name = "postrider";
    std::string to;  ///< The sender in external form.
    bool smtputf8_enable = true;
    std::vector<FailedMessage> failed;
};

/// Plain text, a paragraph for each message; none of them comes back with it. Total, as
/// write_report() is.
Report write_summary(const SummaryRequest&);

/// The value of the Subject: field in this header section, at most kSubjectMax bytes of it.
std::string subject_of(std::string_view header_section);
inline constexpr std::size_t kSubjectMax = 200;

}  // namespace postrider::message
