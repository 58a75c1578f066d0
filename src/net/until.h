// Deadlines: the only place where timers race with input and output.
#pragma once

#include <exception>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/deferred.hpp>
#include <boost/asio/experimental/parallel_group.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "core/clock.h"
#include "core/result.h"
#include "net/stream.h"

namespace postrider::net {

/// For waits that only cancellation ends.
constexpr MonotonicTime kNever = MonotonicTime::max();

/// What an Asio operation's error means to us: `attempt: Connection reset by peer`.
/// operation_aborted is Cancelled, the end of a stream Connection.
Error operation_error(std::string_view attempt, const boost::system::error_code&);

/// Whether the coroutine that asks has been cancelled (TaskGroup::cancel). It stays cancelled:
/// every later wait ends with Cancelled at once, so that a cancel is not lost when it comes between
/// two waits. A task that has something left to say first calls `co_await
/// boost::asio::this_coro::reset_cancellation_state()`.
Awaitable<bool> is_cancelled();

/// Ends at that time, or with Cancelled.
Awaitable<Result<void>> sleep_until(MonotonicTime);

/// Runs one Asio operation, given as a function from a completion token to a void(error_code)
/// operation, until the deadline. Timeout if it passed, Cancelled if the coroutine or the operation
/// was cancelled, otherwise the operation's own outcome. Costs a timer registration unless the
/// deadline is kNever; `timer` is free for it and should live with the socket.
template <typename Operation>
Awaitable<Result<void>> until(boost::asio::steady_timer& timer, MonotonicTime deadline,
                              std::string_view attempt, Operation operation) {
    namespace asio = boost::asio;
    if (co_await is_cancelled()) co_return Unexpected(ErrorCode::Cancelled, "cancelled");
    if (deadline == kNever) {
        auto [failure] = co_await operation(asio::as_tuple(asio::use_awaitable));
        if (failure) co_return Unexpected(operation_error(attempt, failure));
        co_return Result<void>();
    }
    timer.expires_at(deadline);
    auto race = asio::experimental::make_parallel_group(operation(asio::deferred),
                                                        timer.async_wait(asio::deferred));
    auto [order, failure, timer_failure] = co_await race.async_wait(
        asio::experimental::wait_for_one(), asio::as_tuple(asio::use_awaitable));
    if (!failure) co_return Result<void>();
    if (failure == asio::error::operation_aborted && !timer_failure) {
        co_return Unexpected(ErrorCode::Timeout, std::string(attempt) + ": timed out");
    }
    co_return Unexpected(operation_error(attempt, failure));
}

/// Runs a coroutine until the deadline, for operations that know none themselves. When the deadline
/// passes, the operation is cancelled and waited for: it must end when cancelled.
template <typename T>
Awaitable<Result<T>> until(MonotonicTime deadline, Awaitable<Result<T>> operation);

// How it is done.

namespace detail {

/// Cancellation inside is an outcome, not an exception.
template <typename T>
Awaitable<std::optional<Result<T>>> as_outcome(Awaitable<Result<T>> operation) {
    co_await boost::asio::this_coro::throw_if_cancelled(false);
    co_return co_await std::move(operation);
}

}  // namespace detail

template <typename T>
Awaitable<Result<T>> until(MonotonicTime deadline, Awaitable<Result<T>> operation) {
    namespace asio = boost::asio;
    if (co_await is_cancelled()) co_return Unexpected(ErrorCode::Cancelled, "cancelled");
    if (deadline == kNever) co_return co_await std::move(operation);
    auto executor = co_await asio::this_coro::executor;
    asio::steady_timer timer(executor, deadline);
    auto race = asio::experimental::make_parallel_group(
        asio::co_spawn(executor, detail::as_outcome<T>(std::move(operation)), asio::deferred),
        timer.async_wait(asio::deferred));
    auto [order, exception, outcome, timer_failure] = co_await race.async_wait(
        asio::experimental::wait_for_one(), asio::as_tuple(asio::use_awaitable));
    if (exception) std::rethrow_exception(exception);
    POSTRIDER_CHECK(outcome.has_value());
    const bool stopped = !*outcome && outcome->error().code == ErrorCode::Cancelled;
    if (stopped && !timer_failure) co_return Unexpected(ErrorCode::Timeout, "timed out");
    co_return std::move(*outcome);
}

}  // namespace postrider::net
