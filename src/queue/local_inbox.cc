#include "queue/local_inbox.h"

#include <unordered_map>
#include <utility>

#include "queue/queue.h"

namespace postrider::queue {
namespace {

constexpr std::uint32_t kNumbersAhead = 64;

}  // namespace

struct LocalInbox::State {
    Queue& queue;
    const Clock& clock;
    const bool long_queue_ids;
    std::uint64_t next = 0;
    std::uint64_t end = 0;
    std::unordered_map<std::uint64_t, std::uint32_t> pieces;  ///< Of messages with any so far.
};

LocalInbox::LocalInbox(Queue& queue, const Clock& clock, bool long_queue_ids)
    : state_(new State{queue, clock, long_queue_ids, 0, 0, {}}) {}

LocalInbox::~LocalInbox() = default;

net::Awaitable<Result<Ticket>> LocalInbox::open() {
    const auto state = state_;
    std::uint64_t number = 0;
    if (state->next < state->end) {
        number = state->next++;
    } else {
        const auto reserved = co_await state->queue.reserve(kNumbersAhead);
        if (!reserved) co_return Unexpected(reserved.error());
        number = *reserved;
        // Another open() may have been faster; then the rest of its block is as good as ours.
        if (state->next >= state->end) {
            state->next = number + 1;
            state->end = number + kNumbersAhead;
        }
    }
    co_return Ticket::make(number, state->clock.now(), state->long_queue_ids);
}

net::Awaitable<Result<void>> LocalInbox::append(std::uint64_t number, std::string piece) {
    const auto state = state_;
    const std::uint32_t position = state->pieces[number]++;
    co_return co_await state->queue.append(number, position, std::move(piece));
}

net::Awaitable<Result<void>> LocalInbox::commit(NewMessage message, std::string last_piece) {
    const auto state = state_;
    const std::uint64_t number = message.ticket.number;
    std::uint32_t position = 0;
    if (const auto found = state->pieces.find(number); found != state->pieces.end()) {
        position = found->second;
    }
    auto done = co_await state->queue.commit(std::move(message), position, std::move(last_piece));
    state->pieces.erase(number);
    if (!done && position > 0) state->queue.forget(number);
    co_return done;
}

void LocalInbox::discard(std::uint64_t number) {
    if (state_->pieces.erase(number) > 0) state_->queue.forget(number);
}

}  // namespace postrider::queue
