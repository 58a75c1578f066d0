// The computer that postrider runs on: its processes, its disk, its clock, and who watches them.
#pragma once

#include <cstdint>
#include <functional>
#include <list>
#include <memory>
#include <string>
#include <vector>

#include "courier_node.h"
#include "disk.h"
#include "intake_node.h"
#include "ledger.h"
#include "plan.h"
#include "relay.h"
#include "smarthost.h"
#include "world.h"

namespace postrider::simulation {

/// Calendar time that can be set, over the world's time.
class MachineClock final : public Clock {
public:
    explicit MachineClock(World& world) : world_(world) {}
    WallTime now() const override {
        return WallTime(std::chrono::seconds(1795356000)) + world_.elapsed() + offset_;
    }
    MonotonicTime monotonic() const override { return world_.now(); }
    void jump(Duration by) { offset_ += by; }

private:
    World& world_;
    Duration offset_{0};
};

/// Plays the master, too: starts what has died, at growing intervals, and connects the two workers.
class Machine {
public:
    Machine(World&, const Plan&, Ledger&, Smarthost&);
    ~Machine();

    void start();
    /// A client's connection; nothing if nobody listens.
    std::unique_ptr<net::Stream> connect(WireManner);
    void suffer(const PlannedFault&);
    /// The end of all trouble: what is broken is mended, what sleeps is woken.
    void calm();
    /// As an operator who is done with what is held.
    bool release_all();
    /// Nothing waits in the queue, or only what an operator must look at.
    bool is_drained();
    /// Tells the ledger what the queue still holds.
    bool list_into_ledger();
    /// Orderly, both processes; true once they have ended.
    void shut_down();
    bool is_down() const { return !courier_ && intakes_.empty(); }

private:
    /// A process of the machine that died is started again after a while.
    struct Restart {
        Duration delay{0};
        bool pending = false;
    };
    void look_after();
    void start_courier();
    void start_intake();
    void connect_channels(IntakeNode&);
    void kill_courier(bool power_cut);
    void kill_intake();
    void reload_courier();
    void reload_intake();
    void freeze(Process&, Duration);
    void operate(Fault, std::uint64_t which);
    void wake(const std::string& name);
    void begin_trouble();
    void break_disk(const std::function<void()>& damage, Duration time);
    void mend_disk();
    IntakeNode* intake();
    /// Runs the world until the courier has answered.
    template <typename T>
    std::optional<T> ask(net::Awaitable<Result<T>> question);

    World& world_;
    const Plan& plan_;
    Ledger& ledger_;
    Smarthost& smarthost_;
    MachineClock clock_;
    Disk disk_;
    CourierSettings settings_;
    std::list<std::shared_ptr<Relay>> relays_;
    std::unique_ptr<CourierNode> courier_;
    std::list<std::unique_ptr<IntakeNode>> intakes_;  ///< The newest is the last.
    Restart courier_restart_;
    Restart intake_restart_;
    bool cut_power_at_death_ = false;
    int disk_troubles_ = 0;
    bool shutting_down_ = false;
    /// Since when outcomes may wait in memory: the disk is or was in trouble, or the process slept.
    std::optional<MonotonicTime> trouble_since_;
    MonotonicTime trouble_over_{};
};

}  // namespace postrider::simulation
