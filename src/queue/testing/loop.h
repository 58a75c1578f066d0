// Coroutines in tests: an event loop that runs until they are done.
#pragma once

#include <chrono>
#include <exception>
#include <optional>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>

namespace postrider::queue::testing {

class Loop {
public:
    boost::asio::any_io_executor executor() { return context_.get_executor(); }

    /// Runs it in the background; an exception in it ends the program.
    void spawn(boost::asio::awaitable<void> coroutine) {
        ++running_;
        boost::asio::co_spawn(context_, std::move(coroutine),
                              [this](const std::exception_ptr& thrown) {
                                  if (thrown) std::terminate();
                                  --running_;
                              });
    }
    /// Until all that was spawned is done; false after a minute, which only a hang takes.
    bool run_all() {
        return run_while([this] { return running_ > 0; });
    }
    template <typename Condition>
    bool run_while(Condition condition) {
        const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds{60};
        context_.restart();
        while (condition()) {
            if (std::chrono::steady_clock::now() > deadline) return false;
            context_.run_one_for(std::chrono::milliseconds{10});
            context_.restart();
        }
        return true;
    }
    /// The result of one coroutine.
    template <typename T>
    T run(boost::asio::awaitable<T> coroutine) {
        T result = run_once(std::move(coroutine));
        if (!run_all()) std::terminate();
        return result;
    }
    /// The same, whatever else is still running.
    template <typename T>
    T run_once(boost::asio::awaitable<T> coroutine) {
        std::optional<T> result;
        spawn(store(std::move(coroutine), &result));
        if (!run_while([&] { return !result; })) std::terminate();
        return std::move(*result);
    }

private:
    template <typename T>
    static boost::asio::awaitable<void> store(boost::asio::awaitable<T> coroutine,
                                              std::optional<T>* result) {
        result->emplace(co_await std::move(coroutine));
    }

    boost::asio::io_context context_;
    int running_ = 0;
};

}  // namespace postrider::queue::testing
