// Runs one coroutine to its end: for tests and for programs that do one thing.
#pragma once

#include <exception>
#include <optional>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/this_coro.hpp>

#include "core/check.h"
#include "net/stream.h"

namespace postrider::net {

/// Turns the event loop until the task has ended, and returns what it returned. Other work of the
/// loop stays where it is. The task is one that its author knows to end.
template <typename T>
T run(boost::asio::io_context& loop, Awaitable<T> task) {
    std::optional<T> result;
    auto body = [](Awaitable<T> inner, std::optional<T>& into) -> Awaitable<void> {
        co_await boost::asio::this_coro::throw_if_cancelled(false);
        into.emplace(co_await std::move(inner));
    };
    bool ended = false;
    auto on_end = [&ended](std::exception_ptr exception) {
        ended = true;
        if (exception) std::rethrow_exception(exception);
    };
    boost::asio::co_spawn(loop, body(std::move(task), result), on_end);
    loop.restart();
    while (!ended && loop.run_one() > 0) {
    }
    POSTRIDER_CHECK(result.has_value());
    return std::move(*result);
}

}  // namespace postrider::net
