#include "delivery/reporter.h"

#include <utility>

#include <fmt/format.h>

#include "core/checksum.h"

namespace postrider::delivery {

namespace {

std::uint32_t checksum_of(std::string_view content) {
    Checksum checksum;
    checksum.add(content);
    return checksum.value();
}

bool is_whole(const queue::Lease& lease, std::string_view content) {
    return content.size() == lease.content_length && checksum_of(content) == lease.checksum;
}

}  // namespace

queue::OwnMessage own_message(const queue::Ticket& ticket, WallTime now, const mail::Address& to,
                              bool smtputf8, message::Report written) {
    queue::OwnMessage own;
    own.message.ticket = ticket;
    own.message.envelope.recipients.emplace_back(to);
    own.message.envelope.body =
        written.has_8bit ? mail::BodyType::EightBitMime : mail::BodyType::Unknown;
    own.message.envelope.smtputf8 = smtputf8;
    own.message.arrival = now;
    own.message.origin = queue::Origin::Report;
    own.message.client = "local";
    own.message.size = written.size;
    own.message.content_length = written.content.size();
    own.message.checksum = checksum_of(written.content);
    own.message.header_length = written.header_length;
    own.message.longest_line = written.longest_line;
    own.message.has_8bit = written.has_8bit;
    own.content = std::move(written.content);
    return own;
}

message::ReportRequest Reporter::request(const queue::Lease& lease, message::ReportKind kind,
                                         const queue::Ticket& ticket, WallTime now) const {
    message::ReportRequest request;
    request.kind = kind;
    request.id = ticket.id;
    request.original_id = lease.id;
    request.now = now;
    request.arrival = lease.arrival;
    request.retry_until = lease.arrival + options_.retry.maximal_queue_lifetime;
    request.zone = message::system_zone(now);
    request.arrival_zone = message::system_zone(lease.arrival);
    request.retry_zone = message::system_zone(request.retry_until);
    request.host = options_.report.myhostname;
    request.origin = options_.report.myorigin;
    request.mail_name = options_.report.mail_name;
    request.smtputf8_enable = options_.report.smtputf8_enable;
    request.threaded = options_.report.threaded_bounces;
    request.returned_size_max = options_.report.bounce_size_limit;
    request.delay_warning_time = options_.retry.delay_warning_time;
    request.original = lease.envelope;
    request.original_size = lease.size;
    return request;
}

net::Awaitable<std::optional<queue::OwnMessage>> Reporter::write(
    const queue::Lease& lease, message::ReportKind kind,
    std::vector<message::ReportedRecipient> recipients) {
    const auto number = co_await queue_.reserve(1);
    if (!number) {
        log_.warning(fmt::format("{}: {}", lease.id.str(), number.error().message));
        co_return std::nullopt;
    }
    const WallTime now = clock_.now();
    const queue::Ticket ticket = queue::Ticket::make(*number, now, options_.long_queue_ids);
    message::ReportRequest what = request(lease, kind, ticket, now);
    what.recipients = std::move(recipients);
    const std::uint64_t wanted =
        message::returns_full_message(what) ? lease.content_length : lease.header_length;
    for (std::uint32_t piece = 0; what.original_content.size() < wanted; ++piece) {
        const auto bytes = co_await queue_.read_piece(lease.number, piece);
        // A report without the original is better than none.
        if (!bytes || bytes->empty()) break;
        what.original_content += *bytes;
    }
    // Of what is damaged the header alone is worth something to its sender.
    what.headers_only = wanted == lease.content_length && !is_whole(lease, what.original_content);
    queue::OwnMessage own = own_message(ticket, now, lease.envelope.reverse_path,
                                        lease.envelope.smtputf8, message::write_report(what));
    co_return own;
}

}  // namespace postrider::delivery
