#include "delivery/log_lines.h"

#include <fmt/format.h>

#include "core/ascii.h"

namespace postrider::delivery {

std::string_view status_word(mail::Disposition::Kind kind) {
    switch (kind) {
        case mail::Disposition::Kind::Sent:
            return "sent";
        case mail::Disposition::Kind::Bounced:
            return "bounced";
        case mail::Disposition::Kind::Deferred:
        case mail::Disposition::Kind::Expired:
            return "deferred";
    }
    return "deferred";
}

std::string status_line(const mail::QueueId& id, const mail::Recipient& recipient,
                        const mail::Disposition& disposition, const Passage& passage) {
    const std::string to = mail::external(recipient.address);
    const std::string original = mail::external(recipient.original);
    std::string line = fmt::format("{}: to=<{}>", id.str(), to);
    if (!original.empty() && !equals_ignoring_case(to, original)) {
        line += fmt::format(", orig_to=<{}>", original);
    }
    line += fmt::format(", relay={}", passage.relay);
    if (passage.uses > 1) line += fmt::format(", conn_use={}", passage.uses);
    line += fmt::format(
        ", {}, dsn={}, status={} ({})", delay_fields(passage.delays, passage.resolution),
        mail::to_string(disposition.status), status_word(disposition.kind), disposition.text);
    return line;
}

std::string active_line(const mail::QueueId& id, const mail::Address& sender, std::uint64_t size,
                        std::size_t recipients) {
    return fmt::format("{}: from=<{}>, size={}, nrcpt={} (queue active)", id.str(),
                       mail::external(sender), size, recipients);
}

std::string removed_line(const mail::QueueId& id) {
    return fmt::format("{}: removed", id.str());
}

std::string expired_line(const mail::QueueId& id, const mail::Address& sender, bool forced) {
    return fmt::format("{}: from=<{}>, status={}, returned to sender", id.str(),
                       mail::external(sender), forced ? "force-expired" : "expired");
}

std::string notice_line(const mail::QueueId& id, Notice notice, const mail::QueueId& report) {
    const auto words = [notice]() -> std::string_view {
        switch (notice) {
            case Notice::NonDelivery:
                return "non-delivery notification";
            case Notice::Delay:
                return "delay notification";
            case Notice::Success:
                return "delivery status notification";
        }
        return "notification";
    };
    return fmt::format("{}: sender {}: {}", id.str(), words(), report.str());
}

std::string dead_line(const mail::QueueId& id, const mail::Recipient& recipient) {
    return fmt::format("{}: to=<{}>: can be neither delivered nor returned; kept as dead", id.str(),
                       mail::external(recipient.address));
}

std::string damaged_line(const mail::QueueId& id) {
    return fmt::format(
        "{0}: put on hold: its stored content is damaged, and nobody gets it; look at it with "
        "\"postcat -q {0}\", remove it with \"postsuper -d {0}\", or put the right file back and "
        "release it with \"postsuper -H {0}\"",
        id.str());
}

}  // namespace postrider::delivery
