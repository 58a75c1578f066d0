#include "net/asio_timers.h"

#include "net/until.h"

namespace postrider::net {
namespace asio = boost::asio;

Awaitable<Result<void>> AsioTimers::sleep_until(MonotonicTime when) {
    if (co_await is_cancelled()) co_return Unexpected(ErrorCode::Cancelled, "cancelled");
    asio::steady_timer timer(executor_, when);
    auto [failure] = co_await timer.async_wait(asio::as_tuple(asio::use_awaitable));
    if (failure) co_return Unexpected(operation_error("sleep", failure));
    co_return Result<void>();
}

LocalSignal::LocalSignal(asio::any_io_executor executor, Timers& timers)
    : timers_(&timers), event_(std::move(executor)) {}

void LocalSignal::notify() {
    event_.set();
}

Awaitable<Result<void>> LocalSignal::wait(MonotonicTime deadline) {
    if (deadline == kNever || event_.is_set()) {
        auto notified = co_await event_.wait(kNever);
        event_.reset();
        co_return notified;
    }
    auto executor = co_await asio::this_coro::executor;
    auto race = asio::experimental::make_parallel_group(
        asio::co_spawn(executor, detail::as_outcome<void>(event_.wait(kNever)), asio::deferred),
        asio::co_spawn(executor, detail::as_outcome<void>(timers_->sleep_until(deadline)),
                       asio::deferred));
    auto [order, event_exception, notified, sleep_exception, slept] = co_await race.async_wait(
        asio::experimental::wait_for_one(), asio::as_tuple(asio::use_awaitable));
    if (event_.is_set()) {
        event_.reset();
        co_return Result<void>();
    }
    if (slept && *slept) co_return Unexpected(ErrorCode::Timeout, "timed out");
    co_return Unexpected(ErrorCode::Cancelled, "cancelled");
}

}  // namespace postrider::net
