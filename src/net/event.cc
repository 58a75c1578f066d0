#include "net/event.h"

#include "net/until.h"

namespace postrider::net {

void Event::set() {
    set_ = true;
    ++times_;
    timer_.cancel();
}

Awaitable<Result<void>> Event::wait(MonotonicTime deadline) {
    if (set_) co_return Result<void>();
    if (co_await is_cancelled()) co_return Unexpected(ErrorCode::Cancelled, "cancelled");
    const auto before = times_;
    timer_.expires_at(deadline);
    auto [failure] = co_await timer_.async_wait(boost::asio::as_tuple(boost::asio::use_awaitable));
    if (times_ != before) co_return Result<void>();
    if (!failure) co_return Unexpected(ErrorCode::Timeout, "timed out");
    co_return Unexpected(ErrorCode::Cancelled, "cancelled");
}

}  // namespace postrider::net
