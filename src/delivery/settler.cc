#include "delivery/settler.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "net/until.h"

namespace postrider::delivery {

namespace {

using namespace std::chrono_literals;

constexpr auto kRetryMax = 30s;

}  // namespace

Settler::Settler(queue::Queue& queue, Gate& gate, const Clock& clock, const Log& qmgr,
                 std::function<void()> opened)
    : queue_(queue), gate_(gate), clock_(clock), log_(qmgr), opened_(std::move(opened)) {}

net::Awaitable<queue::Settled> Settler::settle(queue::Settlement settlement, mail::QueueId id) {
    std::chrono::seconds pause = 1s;
    bool counted = false;
    queue::Settled settled;
    ++recording_;
    for (;;) {
        auto answer = co_await queue_.settle(settlement);
        if (answer) {
            settled = *answer;
            break;
        }
        log_.error(fmt::format("{}: outcome not recorded yet, no mail is sent until it is: {}",
                               id.str(), answer.error().message));
        if (!counted) ++gate_.unsettled;
        counted = true;
        if (answer.error().code == ErrorCode::Invalid) break;  // No such lease: nothing to record.
        const auto slept = co_await net::sleep_until(clock_.monotonic() + pause);
        if (!slept) break;
        pause = std::min<std::chrono::seconds>(pause * 2, kRetryMax);
    }
    --recording_;
    if (counted && --gate_.unsettled == 0) opened_();
    co_return settled;
}

}  // namespace postrider::delivery
