#include "virtual_time.h"

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <map>

#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <unistd.h>

namespace postrider::simulation::virtual_time {
namespace {

MonotonicTime current{std::chrono::hours{1000}};

/// By descriptor: when the event loop behind it is to be woken.
std::map<int, MonotonicTime>& timers() {
    static std::map<int, MonotonicTime> all;
    return all;
}

int set_real_timer(int fd, long nanoseconds) {
    itimerspec when{};
    when.it_value.tv_nsec = nanoseconds;
    return static_cast<int>(::syscall(SYS_timerfd_settime, fd, TFD_TIMER_ABSTIME, &when, nullptr));
}

}  // namespace

MonotonicTime now() {
    return current;
}

void advance_to(MonotonicTime to) {
    current = std::max(current, to);
    for (auto timer = timers().begin(); timer != timers().end();) {
        if (timer->second > current) {
            ++timer;
            continue;
        }
        // A real time long past: readable at once.
        (void)set_real_timer(timer->first, 1);
        timer = timers().erase(timer);
    }
}

MonotonicTime next_timer() {
    auto next = MonotonicTime::max();
    for (const auto& [fd, due] : timers()) next = std::min(next, due);
    return next;
}

void forget_closed_timers() {
    std::erase_if(timers(), [](const auto& timer) {
        itimerspec unused{};
        return ::syscall(SYS_timerfd_gettime, timer.first, &unused) != 0;
    });
}

/// What the event loop means by timerfd_settime().
int set_timer(int fd, int flags, const itimerspec& wanted) {
    const bool off = wanted.it_value.tv_sec == 0 && wanted.it_value.tv_nsec == 0;
    timers().erase(fd);
    if (off) return set_real_timer(fd, 0);
    if ((flags & TFD_TIMER_ABSTIME) != 0) return set_real_timer(fd, 1);
    timers()[fd] = current + std::chrono::seconds(wanted.it_value.tv_sec) +
                   std::chrono::nanoseconds(wanted.it_value.tv_nsec);
    return set_real_timer(fd, 0);
}

}  // namespace postrider::simulation::virtual_time

// Found before those of the libraries.

extern "C" int timerfd_settime(int fd, int flags, const itimerspec* wanted,
                               itimerspec* /*old*/) noexcept {
    return postrider::simulation::virtual_time::set_timer(fd, flags, *wanted);
}

namespace std::chrono {
inline namespace _V2 {

steady_clock::time_point steady_clock::now() noexcept {
    return postrider::simulation::virtual_time::now();
}

}  // namespace _V2
}  // namespace std::chrono
