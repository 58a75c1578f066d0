// The world around intake, for its tests: a queue in memory, time that passes when asked.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>

#include "net/timers.h"
#include "queue/inbox.h"

namespace postrider::intake {

/// Keeps what was committed. `open_error` and `commit_error` are answered when set.
class FakeInbox final : public queue::Inbox {
public:
    struct Message {
        queue::NewMessage message;
        std::string content;
    };

    net::Awaitable<Result<queue::Ticket>> open() override {
        if (open_error) co_return Unexpected(*open_error);
        queue::Ticket ticket;
        ticket.number = ++last_number_;
        ticket.id = *mail::QueueId::parse("Q" + std::to_string(ticket.number));
        pieces_[ticket.number];
        co_return ticket;
    }
    net::Awaitable<Result<void>> append(std::uint64_t number, std::string piece) override {
        pieces_.at(number) += piece;
        co_return Result<void>();
    }
    net::Awaitable<Result<void>> commit(queue::NewMessage message, std::string last) override {
        if (commit_error) co_return Unexpected(*commit_error);
        const auto number = message.ticket.number;
        messages.push_back({std::move(message), pieces_.at(number) + last});
        pieces_.erase(number);
        co_return Result<void>();
    }
    void discard(std::uint64_t number) override {
        pieces_.erase(number);
        ++discarded_count;
    }
    /// Messages opened and neither committed nor discarded.
    std::size_t open_count() const { return pieces_.size(); }

    std::optional<Error> open_error;
    std::optional<Error> commit_error;
    std::vector<Message> messages;
    std::size_t discarded_count = 0;

private:
    std::uint64_t last_number_ = 0;
    std::map<std::uint64_t, std::string> pieces_;
};

/// Sleeping takes no time: the clock jumps.
class JumpingTimers final : public net::Timers {
public:
    const Clock& clock() const override { return clock_; }
    net::Awaitable<Result<void>> sleep_until(MonotonicTime until) override {
        if (until > now()) clock_.advance(std::chrono::duration_cast<Duration>(until - now()));
        co_return Result<void>();
    }

private:
    ManualClock clock_;
};

/// Runs a coroutine to its end.
template <typename T>
T run(net::Awaitable<T> task) {
    boost::asio::io_context context;
    std::optional<T> result;
    boost::asio::co_spawn(context, std::move(task), [&](std::exception_ptr failure, T value) {
        if (failure) std::rethrow_exception(failure);
        result = std::move(value);
    });
    context.run();
    return std::move(*result);
}
inline void run(net::Awaitable<void> task) {
    boost::asio::io_context context;
    boost::asio::co_spawn(context, std::move(task), [](std::exception_ptr failure) {
        if (failure) std::rethrow_exception(failure);
    });
    context.run();
}

}  // namespace postrider::intake
