#include "delivery/queue_content.h"

#include <utility>

namespace postrider::delivery {

net::Awaitable<void> QueueContent::fetch_ahead() {
    const std::uint64_t length = lease_.content_length;
    if (reserved_ > 0 || length > kSmall || larder_->kept + length > Larder::kMax) co_return;
    reserved_ = length;
    larder_->kept += reserved_;
    auto piece = co_await queue_.read_piece(lease_.number, 0);
    // What went wrong is for the transaction to find out again, and to say.
    if (piece) {
        first_piece_ = *std::move(piece);
    } else {
        forget();
    }
}

net::Awaitable<Result<std::string>> QueueContent::read_piece(std::uint32_t piece) {
    if (piece == 0 && first_piece_) {
        std::string bytes = *std::move(first_piece_);
        forget();
        co_return bytes;
    }
    co_return co_await queue_.read_piece(lease_.number, piece);
}

void QueueContent::forget() {
    larder_->kept -= std::exchange(reserved_, 0);
    first_piece_.reset();
}

}  // namespace postrider::delivery
