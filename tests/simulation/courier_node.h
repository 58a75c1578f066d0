// The courier's process: what daemon/courier_process.cc composes, in the simulated world.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "core/log.h"
#include "core/result.h"
#include "core/unique_fd.h"
#include "delivery/courier.h"
#include "dialler.h"
#include "ledger.h"
#include "net/asio_timers.h"
#include "net/task_group.h"
#include "plan.h"
#include "queue/inbox_server.h"
#include "queue/queue.h"
#include "smarthost.h"
#include "world.h"

namespace postrider::simulation {

/// Into the transcript and the ledger, until the process that writes is dead.
class TranscriptLog final : public LogSink {
public:
    TranscriptLog(World& world, Ledger& ledger) : world_(world), ledger_(ledger) {}
    void write(Severity severity, std::string_view program, std::string_view text) override;
    void mute() { muted_ = true; }

private:
    World& world_;
    Ledger& ledger_;
    bool muted_ = false;
};

class CourierNode {
public:
    static Result<std::unique_ptr<CourierNode>> start(World&, const CourierSettings&, Smarthost&,
                                                      Ledger&, const Clock&);
    /// As a kill: whatever was not written is not written any more, nobody is told anything. After
    /// a stop() that has ended: as the process's end.
    ~CourierNode();

    void attach(UniqueFd channel) { inboxes_.attach(std::move(channel)); }
    /// As daemon::CourierProcess does when it is told to.
    void stop();
    bool has_stopped() const { return has_stopped_; }
    /// Nothing it says reaches anybody any more.
    void die() { sink_->mute(); }

    queue::Queue& queue() { return queue_; }
    delivery::Courier& courier() { return courier_; }
    Process& process() { return *process_; }
    void spawn(net::Awaitable<void> task, std::string name) {
        tasks_.spawn(std::move(task), std::move(name));
    }

private:
    CourierNode(std::unique_ptr<Process>, std::unique_ptr<TranscriptLog>,
                std::unique_ptr<queue::Spool>, const CourierSettings&, Smarthost&, const Clock&);
    net::Awaitable<void> finish();

    std::unique_ptr<TranscriptLog> sink_;
    Log log_;
    const Clock& clock_;
    std::unique_ptr<Process> process_;
    queue::Queue queue_;
    queue::InboxServer inboxes_;
    SimulatedDialler dialler_;
    delivery::Courier courier_;
    net::TaskGroup tasks_;
    bool has_stopped_ = false;
};

}  // namespace postrider::simulation
