#include "queue/message.h"

namespace postrider::queue {

Ticket Ticket::make(std::uint64_t number, WallTime created, bool long_queue_ids) {
    Ticket ticket;
    ticket.number = number;
    ticket.created = created;
    ticket.id = long_queue_ids ? mail::QueueId::make_long(created, number)
                               : mail::QueueId::make_short(created, number);
    return ticket;
}

}  // namespace postrider::queue
