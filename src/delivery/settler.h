// Outcomes into the queue, whatever it takes.
#pragma once

#include <functional>

#include "core/clock.h"
#include "core/log.h"
#include "delivery/lane.h"
#include "mail/queue_id.h"
#include "net/stream.h"
#include "queue/queue.h"

namespace postrider::delivery {

/// R6: an outcome is a fact. It stays in memory until the store takes it, and while one does, the
/// gate is shut: nothing new is sent.
class Settler {
public:
    /// All references must outlive it. `opened` is called when the gate opens again.
    Settler(queue::Queue&, Gate&, const Clock&, const Log& qmgr, std::function<void()> opened);

    /// Ends when it is recorded, or when the task is cancelled.
    net::Awaitable<queue::Settled> settle(queue::Settlement settlement, mail::QueueId id);

    /// Outcomes that the store has not answered for yet.
    std::size_t recording() const { return recording_; }

private:
    queue::Queue& queue_;
    Gate& gate_;
    const Clock& clock_;
    const Log& log_;
    std::function<void()> opened_;
    std::size_t recording_ = 0;
};

}  // namespace postrider::delivery
