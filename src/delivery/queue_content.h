// The content of a leased message, small ones read before they are needed.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "delivery/transaction.h"
#include "queue/message.h"
#include "queue/queue.h"

namespace postrider::delivery {

/// What waiting attempts may keep in memory together.
struct Larder {
    static constexpr std::size_t kMax = 1024 * 1024;
    std::size_t kept = 0;
};

/// A read waits for the transaction that the storage thread is syncing, which takes far longer than
/// a session needs to send a small message. So a message that waits for its turn has its content
/// read meanwhile, if it is small and the larder has room.
class QueueContent final : public ContentSource {
public:
    /// The references must outlive its use. It may be destroyed after them, as an attempt that was
    /// cut off is, with the event loop; so it shares the larder.
    QueueContent(queue::Queue& queue, std::shared_ptr<Larder> larder, const queue::Lease& lease)
        : queue_(queue), larder_(std::move(larder)), lease_(lease) {}
    ~QueueContent() override { forget(); }
    QueueContent(const QueueContent&) = delete;
    QueueContent& operator=(const QueueContent&) = delete;

    net::Awaitable<void> fetch_ahead();
    net::Awaitable<Result<std::string>> read_piece(std::uint32_t piece) override;

private:
    static constexpr std::size_t kSmall = 32 * 1024;
    void forget();

    queue::Queue& queue_;
    std::shared_ptr<Larder> larder_;
    const queue::Lease& lease_;
    std::size_t reserved_ = 0;
    std::optional<std::string> first_piece_;
};

}  // namespace postrider::delivery
