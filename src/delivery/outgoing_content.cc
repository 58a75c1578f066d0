#include "delivery/outgoing_content.h"

namespace postrider::delivery {

net::Awaitable<Result<void>> OutgoingContent::advance() {
    const auto piece = co_await source_.read_piece(next_);
    if (!piece) co_return Unexpected(piece.error());
    ++next_;
    read_ += piece->size();
    checksum_.add(*piece);
    const std::uint64_t length = lease_.content_length;
    const bool damaged = read_ > length || (piece->empty() && read_ < length) ||
                         (read_ == length && checksum_.value() != lease_.checksum);
    if (damaged) {
        co_return Unexpected(ErrorCode::Corrupt,
                             "stored content is damaged: length or checksum does not match");
    }
    outgoing_ = encoder_.encode(*piece);
    if (read_ == length) {
        outgoing_ += encoder_.finish();
        complete_ = true;
    }
    co_return Result<void>();
}

}  // namespace postrider::delivery
