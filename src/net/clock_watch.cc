#include "net/clock_watch.h"

#include <cerrno>
#include <cstdint>
#include <ctime>
#include <limits>

#include <sys/timerfd.h>

#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/steady_timer.hpp>

#include "core/unique_fd.h"
#include "net/until.h"

namespace postrider::net {
namespace {

namespace asio = boost::asio;

Duration reading(clockid_t clock) {
    timespec time{};
    ::clock_gettime(clock, &time);
    return std::chrono::duration_cast<Duration>(std::chrono::seconds(time.tv_sec) +
                                                std::chrono::nanoseconds(time.tv_nsec));
}

// Two clocks cannot be read at one moment; what they differ by on their own is less than this.
constexpr Duration kShortestSleep = std::chrono::milliseconds(500);

/// A timer that never rings, but breaks off when the calendar jumps; the kernel takes the end of a
/// suspend for one (timerfd_create(2), TFD_TIMER_CANCEL_ON_SET).
Result<void> arm(int timer) {
    itimerspec never{};
    never.it_value.tv_sec = std::numeric_limits<std::int32_t>::max();
    if (::timerfd_settime(timer, TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET, &never, nullptr) !=
        0) {
        return Unexpected(system_error("watch the clock", errno));
    }
    return {};
}

}  // namespace

Duration time_asleep() {
    return reading(CLOCK_BOOTTIME) - reading(CLOCK_MONOTONIC);
}

class ClockWatch::Implementation {
public:
    Implementation(const asio::any_io_executor& executor, UniqueFd timer,
                   std::function<Duration()> asleep)
        : descriptor_(executor, timer.release()),
          unused_(executor),
          asleep_(std::move(asleep)),
          slept_(asleep_()) {}

    Awaitable<Result<Duration>> next() {
        auto jumped = co_await until(unused_, kNever, "watch the clock", [this](auto token) {
            return descriptor_.async_wait(asio::posix::stream_descriptor::wait_read, token);
        });
        if (!jumped) co_return Unexpected(std::move(jumped).error());
        std::uint64_t rings = 0;
        // ECANCELED is what we wait for; in 2038 it rings instead, and is armed again all the same.
        const auto ignored = ::read(descriptor_.native_handle(), &rings, sizeof rings);
        static_cast<void>(ignored);
        if (auto armed = arm(descriptor_.native_handle()); !armed) {
            co_return Unexpected(std::move(armed).error());
        }
        const Duration total = asleep_();
        const Duration slept = total - slept_;
        slept_ = total;
        co_return slept >= kShortestSleep ? slept : Duration::zero();
    }

private:
    asio::posix::stream_descriptor descriptor_;
    asio::steady_timer unused_;
    std::function<Duration()> asleep_;
    Duration slept_;
};

Result<std::unique_ptr<ClockWatch>> ClockWatch::open(asio::any_io_executor executor,
                                                     std::function<Duration()> asleep) {
    UniqueFd timer(::timerfd_create(CLOCK_REALTIME, TFD_NONBLOCK | TFD_CLOEXEC));
    if (!timer) return Unexpected(system_error("watch the clock", errno));
    if (auto armed = arm(timer.get()); !armed) return Unexpected(std::move(armed).error());
    return std::unique_ptr<ClockWatch>(new ClockWatch(
        std::make_unique<Implementation>(executor, std::move(timer), std::move(asleep))));
}

ClockWatch::ClockWatch(std::unique_ptr<Implementation> implementation)
    : implementation_(std::move(implementation)) {}
ClockWatch::~ClockWatch() = default;

Awaitable<Result<Duration>> ClockWatch::next() {
    return implementation_->next();
}

}  // namespace postrider::net
