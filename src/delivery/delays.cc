#include "delivery/delays.h"

#include <algorithm>

#include <fmt/format.h>

namespace postrider::delivery {

namespace {

Duration interval(WallTime from, WallTime to) {
    return std::max(Duration::zero(), std::chrono::duration_cast<Duration>(to - from));
}

Duration step(Duration time, int resolution) {
    using namespace std::chrono_literals;
    if (time >= 10s || resolution <= 0) return 1s;
    if (time >= 1s) return 100ms;
    Duration finest = 1s;
    for (int i = 0; i < std::min(resolution, 6); ++i) finest /= 10;
    return finest;
}

}  // namespace

Delays measure(const Stations& at) {
    Delays delays;
    delays.total = interval(at.arrival, at.finished);
    delays.before = interval(at.arrival, at.activated);
    delays.waiting = interval(at.activated, at.taken);
    if (at.connected) delays.connecting = interval(at.taken, *at.connected);
    delays.transmitting = interval(at.connected.value_or(at.taken), at.finished);
    return delays;
}

std::string rounded(Duration time, int resolution) {
    const Duration unit = step(time, resolution);
    const Duration total = (time + unit / 2) / unit * unit;
    const auto whole = std::chrono::floor<std::chrono::seconds>(total);
    std::string text = fmt::format("{}", whole.count());
    const auto rest = (total - whole).count();
    if (rest == 0) return text;
    text += fmt::format(".{:06}", rest);
    text.erase(text.find_last_not_of('0') + 1);
    return text;
}

std::string delay_fields(const Delays& delays, int resolution) {
    return fmt::format("delay={}, delays={}/{}/{}/{}", rounded(delays.total, resolution),
                       rounded(delays.before, resolution), rounded(delays.waiting, resolution),
                       rounded(delays.connecting, resolution),
                       rounded(delays.transmitting, resolution));
}

}  // namespace postrider::delivery
