// The door into a queue in the same process.
#pragma once

#include <memory>

#include "core/clock.h"
#include "queue/inbox.h"

namespace postrider::queue {

class Queue;

/// Reserves numbers in blocks ahead, so that open() seldom waits. The Queue and the Clock must
/// outlive it.
class LocalInbox final : public Inbox {
public:
    LocalInbox(Queue&, const Clock&, bool long_queue_ids);
    ~LocalInbox() override;

    net::Awaitable<Result<Ticket>> open() override;
    net::Awaitable<Result<void>> append(std::uint64_t number, std::string piece) override;
    net::Awaitable<Result<void>> commit(NewMessage message, std::string last_piece) override;
    void discard(std::uint64_t number) override;

private:
    struct State;
    std::shared_ptr<State> state_;
};

}  // namespace postrider::queue
