#include "machine.h"

#include <algorithm>

#include <fmt/format.h>
#include <sqlite3.h>

#include "net/run.h"

namespace postrider::simulation {
namespace {

using namespace std::chrono_literals;

/// daemon: the pauses before a worker is started again.
constexpr Duration kRestartMax = 60s;
/// Between the smarthost's answer and its record there is one commit, and no more.
constexpr Duration kRecordingTime = 1s;
/// After trouble with the disk an outcome waits for the next try to reopen the store, and for the
/// courier's next try to record it.
constexpr Duration kAfterTrouble = 60s;

}  // namespace

Machine::Machine(World& world, const Plan& plan, Ledger& ledger, Smarthost& smarthost)
    : world_(world),
      plan_(plan),
      ledger_(ledger),
      smarthost_(smarthost),
      clock_(world),
      disk_(world.random()) {
    if (plan.control == Control::LyingDisk) disk_.lie_about_syncs();
    // Every other story has senders who are told of most failures in a summary.
    if (plan.seed % 2 == 0) settings_.delivery.report.sender_limit = 1;
    world_.between_turns = [this] { look_after(); };
}

Machine::~Machine() {
    world_.between_turns = nullptr;
    disk_.die();
}

void Machine::start() {
    start_courier();
    start_intake();
    for (const PlannedFault& planned : plan_.faults) {
        world_.after(planned.when, [this, planned] {
            if (!world_.calm) suffer(planned);
        });
    }
}

std::unique_ptr<net::Stream> Machine::connect(WireManner manner) {
    IntakeNode* node = intake();
    if (node == nullptr) return nullptr;
    auto [near, far] = Wire::connect(world_, world_.outside(), node->process(), manner, "client");
    node->accept(std::move(far));
    return std::move(near);
}

IntakeNode* Machine::intake() {
    if (intakes_.empty() || intakes_.back()->is_stopping()) return nullptr;
    return intakes_.back().get();
}

/// Between the turns of processes: here they may be destroyed and made.
void Machine::look_after() {
    if (disk_.is_dead() && courier_) {
        world_.note("machine", "the courier dies inside an operation on the disk");
        kill_courier(std::exchange(cut_power_at_death_, false));
    }
    if (courier_ && courier_->has_stopped()) {
        world_.note("machine", "courier has ended");
        courier_.reset();
        virtual_time::forget_closed_timers();
        if (!shutting_down_) start_courier();
    }
    std::erase_if(intakes_, [](const auto& node) { return node->has_stopped(); });
    std::erase_if(relays_, [](const auto& relay) { return relay->is_over(); });
}

void Machine::start_courier() {
    disk_.revive(false);
    auto started = CourierNode::start(world_, settings_, smarthost_, ledger_, clock_);
    if (started) {
        world_.note("machine", "courier runs");
        courier_ = *std::move(started);
        courier_restart_ = Restart();
        for (const auto& node : intakes_) connect_channels(*node);
        return;
    }
    world_.note("machine", "courier does not start: " + started.error().message);
    if (started.error().code == ErrorCode::Corrupt) {
        ledger_.violation("P12: the store is damaged: " + started.error().message);
    }
    Restart& again = courier_restart_;
    if (std::exchange(again.pending, true)) return;
    again.delay = std::clamp<Duration>(again.delay * 2, 1s, kRestartMax);
    world_.after(again.delay, [this] {
        courier_restart_.pending = false;
        if (!courier_ && !shutting_down_) start_courier();
    });
}

void Machine::start_intake() {
    intakes_.push_back(std::make_unique<IntakeNode>(world_, ledger_, clock_,
                                                    plan_.control == Control::EarlyAnswer));
    world_.note("machine", "intake runs");
    if (courier_) connect_channels(*intakes_.back());
}

void Machine::connect_channels(IntakeNode& node) {
    auto relay = std::make_shared<Relay>(world_, plan_.channel_piece_max);
    auto [for_intake, for_courier] = relay->start();
    relays_.push_back(std::move(relay));
    node.attach(std::move(for_intake));
    courier_->attach(std::move(for_courier));
}

void Machine::kill_courier(bool power_cut) {
    if (!courier_) return;
    MonotonicTime since = world_.now() - kRecordingTime;
    if (trouble_since_ && (disk_troubles_ > 0 || courier_->process().is_frozen() ||
                           world_.now() < trouble_over_ + kAfterTrouble)) {
        since = std::min(since, *trouble_since_ - kRecordingTime);
    }
    ledger_.courier_died(since);
    courier_->die();
    disk_.die();
    courier_.reset();
    disk_.revive(power_cut);
    if (power_cut) {
        for (const auto& node : intakes_) node->die();
        intakes_.clear();
    }
    virtual_time::forget_closed_timers();
    const Duration pause = world_.between(0s, power_cut ? 90s : 3s);
    world_.after(pause, [this] {
        if (shutting_down_) return;
        if (!courier_) start_courier();
        if (intakes_.empty()) start_intake();
    });
}

void Machine::kill_intake() {
    if (intakes_.empty()) return;
    for (const auto& node : intakes_) node->die();
    intakes_.clear();
    virtual_time::forget_closed_timers();
    world_.after(world_.between(0s, 3s), [this] {
        if (intakes_.empty() && !shutting_down_) start_intake();
    });
}

void Machine::reload_courier() {
    if (courier_) courier_->stop();
}

void Machine::reload_intake() {
    if (intake() == nullptr) return;
    IntakeNode& old = *intakes_.back();
    start_intake();
    old.retire();
}

void Machine::freeze(Process& process, Duration time) {
    process.freeze(true);
    const std::string name = process.name();
    world_.after(time, [this, name] { wake(name); });
}

void Machine::wake(const std::string& name) {
    if (courier_ && name == courier_->process().name()) courier_->process().freeze(false);
    for (const auto& node : intakes_) {
        if (node->process().name() == name) node->process().freeze(false);
    }
    if (name == "courier") trouble_over_ = world_.now();
}

void Machine::begin_trouble() {
    if (!trouble_since_ || world_.now() > trouble_over_ + kAfterTrouble) {
        trouble_since_ = world_.now();
    }
}

void Machine::suffer(const PlannedFault& planned) {
    const std::uint64_t n = planned.argument;
    const auto nth = static_cast<int>(n);
    const auto broken_for = world_.between(1s, 15min);
    world_.fault(to_string(planned.fault), fmt::format("{}", n));
    switch (planned.fault) {
        case Fault::KillCourier:
            return kill_courier(false);
        case Fault::KillIntake:
            return kill_intake();
        case Fault::CutPower:
            return kill_courier(true);
        case Fault::KillAtWrite:
            return disk_.die_at(Disk::Operation::Write, nth);
        case Fault::KillAtSync:
            return disk_.die_at(Disk::Operation::Sync, nth);
        case Fault::CutPowerAtSync:
            cut_power_at_death_ = true;
            return disk_.die_at(Disk::Operation::Sync, nth);
        case Fault::WriteErrorOnce:
            return break_disk(
                [&] { disk_.fail(Disk::Operation::Write, nth, SQLITE_IOERR_WRITE, false); },
                broken_for);
        case Fault::WriteErrorForGood:
            return break_disk(
                [&] { disk_.fail(Disk::Operation::Write, nth, SQLITE_IOERR_WRITE, true); },
                broken_for);
        case Fault::SyncErrorOnce:
            return break_disk(
                [&] { disk_.fail(Disk::Operation::Sync, nth, SQLITE_IOERR_FSYNC, false); },
                broken_for);
        case Fault::SyncErrorForGood:
            return break_disk(
                [&] { disk_.fail(Disk::Operation::Sync, nth, SQLITE_IOERR_FSYNC, true); },
                broken_for);
        case Fault::DiskFull:
            return break_disk([&] { disk_.set_capacity(disk_.used() + n); }, broken_for);
        case Fault::SlowDisk:
            return break_disk([&] { disk_.set_sync_time(Duration(static_cast<std::int64_t>(n))); },
                              broken_for);
        case Fault::ClockForward:
            return clock_.jump(std::chrono::seconds(n));
        case Fault::ClockBack:
            return clock_.jump(-std::chrono::seconds(n));
        case Fault::FreezeCourier:
            begin_trouble();
            if (courier_) freeze(courier_->process(), std::chrono::seconds(n));
            return;
        case Fault::FreezeIntake:
            if (intake() != nullptr) freeze(intake()->process(), std::chrono::seconds(n));
            return;
        case Fault::ReloadCourier:
            return reload_courier();
        case Fault::ReloadIntake:
            return reload_intake();
        case Fault::Hold:
        case Fault::Release:
        case Fault::Delete:
        case Fault::Flush:
        case Fault::Expire:
            return operate(planned.fault, n);
    }
}

void Machine::break_disk(const std::function<void()>& damage, Duration time) {
    begin_trouble();
    ++disk_troubles_;
    damage();
    world_.after(time, [this] {
        if (--disk_troubles_ == 0) mend_disk();
    });
}

void Machine::mend_disk() {
    disk_.heal();
    trouble_over_ = world_.now();
}

/// One message of those accepted so far, or all of them.
void Machine::operate(Fault what, std::uint64_t which) {
    if (!courier_) return;
    std::optional<mail::QueueId> id;
    const auto known = ledger_.accepted_ids();
    if (which % 4 != 0 && !known.empty()) id = mail::QueueId::parse(known[which % known.size()]);
    if (!id && what == Fault::Delete) return;
    auto work = [](Machine& machine, queue::Queue& queue, Fault operation,
                   std::optional<mail::QueueId> on) -> net::Awaitable<void> {
        Result<std::uint64_t> done = std::uint64_t{0};
        if (operation == Fault::Hold) done = co_await queue.hold(on);
        if (operation == Fault::Release) done = co_await queue.release(on);
        if (operation == Fault::Flush) done = co_await queue.flush(on);
        if (operation == Fault::Expire) done = co_await queue.expire(on);
        if (operation == Fault::Delete) done = co_await queue.remove(on);
        machine.world_.note("operator",
                            fmt::format("{} {}: {}", to_string(operation), on ? on->str() : "all",
                                        done ? std::to_string(*done) : done.error().message));
        if (operation == Fault::Delete && done && *done == 0)
            machine.ledger_.not_deleted(on->str());
    };
    // A process that dies meanwhile may have done it: who is not told must take it for done.
    if (what == Fault::Delete) ledger_.deleting(id->str());
    courier_->spawn(work(*this, courier_->queue(), what, id), "operator");
    if (what == Fault::Flush) courier_->courier().flush();
}

void Machine::calm() {
    world_.calm = true;
    world_.note("machine", "calm");
    disk_.forget_deaths();
    mend_disk();
    wake("courier");
    wake("intake");
    if (!courier_) start_courier();
    if (intakes_.empty()) start_intake();
}

template <typename T>
std::optional<T> Machine::ask(net::Awaitable<Result<T>> question) {
    auto answer = std::make_shared<std::optional<Result<T>>>();
    auto work = [](net::Awaitable<Result<T>> what,
                   std::shared_ptr<std::optional<Result<T>>> into) -> net::Awaitable<void> {
        into->emplace(co_await std::move(what));
    };
    courier_->spawn(work(std::move(question), answer), "question");
    const bool answered = world_.run_until([&] { return answer->has_value(); }, world_.now() + 1h);
    if (!answered || !**answer) return std::nullopt;
    return std::move(***answer);
}

bool Machine::release_all() {
    return courier_ && ask<std::uint64_t>(courier_->queue().release(std::nullopt)).has_value();
}

bool Machine::is_drained() {
    if (!courier_) return false;
    const auto counts = ask<queue::QueueCounts>(courier_->queue().counts());
    return counts && counts->incoming + counts->active + counts->deferred + counts->hold == 0;
}

bool Machine::list_into_ledger() {
    if (!courier_) return false;
    std::uint64_t after = 0;
    for (;;) {
        const auto some =
            ask<std::vector<queue::ListedMessage>>(courier_->queue().list(after, 100));
        if (!some) return false;
        if (some->empty()) return true;
        for (const queue::ListedMessage& one : *some) {
            const auto content = ask<std::string>(courier_->queue().read_piece(one.number, 0));
            if (!content) return false;
            ledger_.listed(one, *content);
            after = one.number;
        }
    }
}

void Machine::shut_down() {
    shutting_down_ = true;
    for (const auto& node : intakes_) node->stop();
    if (courier_) courier_->stop();
}

}  // namespace postrider::simulation
