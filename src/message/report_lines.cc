#include "message/report_lines.h"

#include <algorithm>
#include <chrono>

#include <fmt/chrono.h>
#include <fmt/format.h>

#include "core/ascii.h"
#include "core/log.h"
#include "mail/address.h"

namespace postrider::message {

namespace {

constexpr std::size_t kWrapColumn = 79;
constexpr std::size_t kWrapIndent = 4;

std::string_view without_trailing_space(std::string_view text) {
    return text.substr(0, text.find_last_not_of(" \t") + 1);
}

}  // namespace

std::string ReportLines::text(std::string_view raw) const {
    auto result = printable(raw);
    if (!eight_bit_) mask_8bit(result);
    return result;
}

void ReportLines::mask_8bit(std::string& text) {
    for (char& c : text)
        if (!is_ascii(c)) c = '?';
}

void ReportLines::wrapped(std::string_view words) {
    std::string current;
    bool first = true;
    while (!words.empty()) {
        const auto end = std::min(words.find_first_of(" \t"), words.size());
        const auto next = std::min(words.find_first_not_of(" \t", end), words.size());
        if (!without_trailing_space(current).empty() && current.size() + end > kWrapColumn) {
            line(without_trailing_space(current));
            current.assign(kWrapIndent, ' ');
            first = false;
        }
        current.append(words.substr(0, next));
        words.remove_prefix(next);
    }
    const auto rest = without_trailing_space(current);
    if (first || !rest.empty()) line(rest);
}

std::string ReportLines::head(const Head& head) {
    const auto seconds = std::chrono::floor<std::chrono::seconds>(head.now);
    const auto date = text(mail_date(head.now, head.zone));
    const auto host = text(head.host);
    auto to = std::string(head.to);
    const auto address = mail::parse_address(to);
    if (address && !address->is_null() && address->domain.empty() && !head.origin.empty())
        to.append("@").append(head.origin);

    line(fmt::format("Received: by {} ({})", host, text(head.mail_name)));
    line(fmt::format("\tid {}; {}", head.id.str(), date));
    line("Date: " + date);
    line(fmt::format("From: Mail Delivery System <MAILER-DAEMON@{}>",
                     text(head.origin.empty() ? head.host : head.origin)));
    line(fmt::format("Subject: {}", head.subject));
    line("To: " + text(to));
    return fmt::format("<{:%Y%m%d%H%M%S}.{}@{}>",
                       fmt::gmtime(std::chrono::system_clock::to_time_t(seconds)), head.id.str(),
                       host);
}

Report ReportLines::finish() {
    Report report;
    report.size = out_.size();
    report.longest_line = static_cast<std::uint32_t>(out_.longest_line());
    report.checksum = out_.checksum();
    report.has_8bit = out_.has_8bit();
    report.content = out_.take();
    return report;
}

}  // namespace postrider::message
