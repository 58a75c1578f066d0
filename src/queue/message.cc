#include "queue/message.h"

#include "core/ascii.h"

namespace postrider::queue {

Ticket Ticket::make(std::uint64_t number, WallTime created, bool long_queue_ids) {
    Ticket ticket;
    ticket.number = number;
    ticket.created = created;
    ticket.id = long_queue_ids ? mail::QueueId::make_long(created, number)
                               : mail::QueueId::make_short(created, number);
    return ticket;
}

std::string party_of(std::int64_t submitter_uid, const mail::Address& reverse_path) {
    if (submitter_uid >= 0) return std::to_string(submitter_uid);
    return ascii_lowercase(mail::external(reverse_path));
}

}  // namespace postrider::queue
