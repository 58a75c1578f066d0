#include "delivery/lane.h"

#include <algorithm>

namespace postrider::delivery {

namespace {

using namespace std::chrono_literals;

// Whoever is woken looks for itself; this bounds what a wake-up that never came would cost.
constexpr auto kLookAgain = 600s;

}  // namespace

Lane::Lane(const Options& options, const Accounts& accounts, const Gate& gate, const Clock& clock,
           boost::asio::any_io_executor executor)
    : congestion(options.concurrency),
      accounts_(accounts),
      gate_(gate),
      clock_(clock),
      executor_(std::move(executor)) {}

net::Awaitable<Admission> Lane::admit(const Account& account, const std::string& party) {
    net::Event turn(executor_);
    const auto here = waiting_.emplace(std::pair(turns_.place(party), arrivals_++), &turn).first;
    Admission admission = Admission::Stopping;
    while (!gate_.stopping) {
        const bool first = here == waiting_.begin();
        const auto ruling = accounts_.rule(account, clock_.now());
        if (!out_of_reach && ruling.standing == Accounts::Standing::Blocked) {
            admission = Admission::Blocked;
            break;
        }
        // R6: while outcomes cannot be recorded, nothing new is sent.
        const bool may_send = gate_.unsettled == 0 && !out_of_reach;
        const MonotonicTime now = clock_.monotonic();
        if (first && may_send && congestion.admits(now)) {
            congestion.started(now);
            turns_.serve(here->first.first);
            admission =
                ruling.standing == Accounts::Standing::Probe ? Admission::Probe : Admission::Go;
            break;
        }
        turn.reset();
        MonotonicTime look = now + kLookAgain;
        if (first && may_send) look = std::min(look, congestion.head_start_ends(now));
        const auto waited = co_await turn.wait(look);
        if (!waited && waited.error().code == ErrorCode::Cancelled) break;
    }
    waiting_.erase(here);
    // The next in line looks for itself: there may be room for more than one.
    wake_next();
    co_return admission;
}

void Lane::release() {
    congestion.ended();
    wake_next();
}

net::Awaitable<void> Lane::wait_for_warmth() {
    net::Event over(executor_);
    for_warmth_.push_back(&over);
    while (warming && !gate_.stopping && clock_.monotonic() < warm_by) {
        over.reset();
        const auto waited = co_await over.wait(warm_by);
        if (!waited && waited.error().code == ErrorCode::Cancelled) break;
    }
    std::erase(for_warmth_, &over);
}

void Lane::wake_next() {
    if (!waiting_.empty()) waiting_.begin()->second->set();
}

void Lane::wake_all() {
    for (const auto& [place, event] : waiting_) event->set();
    for (net::Event* event : for_warmth_) event->set();
}

Lane& Lanes::to(const std::string& next_hops) {
    auto& found = lanes_[next_hops];
    if (!found) {
        found = std::make_unique<Lane>(options_, accounts_, gate_, clock_, executor_);
        found->out_of_reach = !dialler_.can_reach(next_hops);
    }
    return *found;
}

void Lanes::look_for_network() {
    for (auto& [next_hops, lane] : lanes_) lane->out_of_reach = !dialler_.can_reach(next_hops);
    wake_all();
}

void Lanes::wake_all() {
    for (auto& [next_hops, lane] : lanes_) lane->wake_all();
}

}  // namespace postrider::delivery
