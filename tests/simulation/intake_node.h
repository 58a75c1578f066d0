// The intake's process: what daemon/intake_process.cc composes, in the simulated world.
#pragma once

#include <memory>
#include <string>

#include "core/log.h"
#include "core/unique_fd.h"
#include "courier_node.h"
#include "intake/slots.h"
#include "intake/smtp_session.h"
#include "net/asio_timers.h"
#include "net/task_group.h"
#include "queue/remote_inbox.h"
#include "world.h"

namespace postrider::simulation {

class IntakeNode {
public:
    IntakeNode(World&, Ledger&, const Clock&, bool answers_early);
    ~IntakeNode();

    void attach(UniqueFd channel) { inbox_.attach(std::move(channel)); }
    /// A client has connected.
    void accept(std::unique_ptr<net::Stream> stream);
    /// Ends the sessions, after a short while.
    void stop();
    /// Another takes new clients: sessions go on until their message is in.
    void retire();
    bool has_stopped() const { return has_stopped_; }
    bool is_stopping() const { return stopping_; }
    void die() { sink_.mute(); }

    Process& process() { return process_; }
    std::size_t session_count() const { return sessions_.size(); }

private:
    net::Awaitable<void> finish(bool retiring);
    void begin_end(bool retiring);

    TranscriptLog sink_;
    Log log_;
    Process process_;
    net::AsioTimers timers_;
    queue::RemoteInbox inbox_;
    std::unique_ptr<queue::Inbox> early_;  ///< A control: answers before the commit.
    intake::DialogueOptions dialogue_;
    intake::SessionOptions session_;
    message::CleanupOptions cleanup_;
    intake::Services services_;
    intake::Slots slots_{200, 0};
    net::TaskGroup sessions_;
    net::TaskGroup tasks_;
    bool stopping_ = false;
    bool has_stopped_ = false;
};

}  // namespace postrider::simulation
