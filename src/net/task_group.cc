#include "net/task_group.h"

#include <cstdlib>
#include <exception>
#include <list>

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>

#include "net/event.h"
#include "net/until.h"

namespace postrider::net {
namespace {

namespace asio = boost::asio;

constexpr int kSoftwareStatus = 70;  // EX_SOFTWARE

// Inside a task cancellation is a value.
Awaitable<void> guarded(Awaitable<void> task) {
    co_await asio::this_coro::throw_if_cancelled(false);
    co_await std::move(task);
}

std::string text_of(const std::exception_ptr& exception) {
    try {
        std::rethrow_exception(exception);
    } catch (const std::exception& known) {
        return known.what();
    } catch (...) {
        return "unknown exception";
    }
}

}  // namespace

struct TaskGroup::State : std::enable_shared_from_this<TaskGroup::State> {
    State(asio::any_io_executor executor_, Log log_)
        : executor(std::move(executor_)), log(std::move(log_)), changed(executor) {}

    void spawn(Awaitable<void> task, std::string name, bool vital);
    void cancel() {
        for (auto& task : tasks) task.emit(asio::cancellation_type::terminal);
    }

    asio::any_io_executor executor;
    Log log;
    std::list<asio::cancellation_signal> tasks;
    Event changed;
};

TaskGroup::TaskGroup(asio::any_io_executor executor, Log log)
    : state_(std::make_shared<State>(std::move(executor), std::move(log))) {}

TaskGroup::~TaskGroup() {
    state_->cancel();
}

void TaskGroup::State::spawn(Awaitable<void> task, std::string name, bool vital) {
    const auto position = tasks.emplace(tasks.end());
    auto ended = [state = shared_from_this(), position, name = std::move(name),
                  vital](std::exception_ptr exception) {
        if (exception && vital) {
            state->log.fatal(name + ": " + text_of(exception));
            std::_Exit(kSoftwareStatus);
        }
        if (exception) state->log.error(name + ": " + text_of(exception));
        state->tasks.erase(position);
        state->changed.set();
    };
    asio::co_spawn(executor, guarded(std::move(task)),
                   asio::bind_cancellation_slot(position->slot(), std::move(ended)));
}

void TaskGroup::spawn(Awaitable<void> task, std::string name) {
    state_->spawn(std::move(task), std::move(name), false);
}

void TaskGroup::spawn_vital(Awaitable<void> task, std::string name) {
    state_->spawn(std::move(task), std::move(name), true);
}

void TaskGroup::cancel() {
    state_->cancel();
}

Awaitable<Result<void>> TaskGroup::join(MonotonicTime deadline) {
    while (!empty()) {
        state_->changed.reset();
        auto change = co_await state_->changed.wait(deadline);
        if (!change) co_return Unexpected(std::move(change).error());
    }
    co_return Result<void>();
}

std::size_t TaskGroup::size() const {
    return state_->tasks.size();
}

}  // namespace postrider::net
