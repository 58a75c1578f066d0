// What a report says to the person who reads it.
#pragma once

#include <string>
#include <vector>

#include "message/report.h"

namespace postrider::message {

std::string report_subject(ReportKind, bool to_postmaster);

/// The text above the list of recipients, as lines of at most 76 characters. In the order that
/// readers of Postfix's notices know: who speaks, what happened, what to do, whom to ask.
std::vector<std::string> report_words(const ReportRequest&);

}  // namespace postrider::message
