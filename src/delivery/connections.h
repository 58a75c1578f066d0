// Sessions for attempts: warm ones first, else new ones; and what becomes of them afterwards.
#pragma once

#include <memory>
#include <string>

#include <boost/asio/any_io_executor.hpp>

#include "core/clock.h"
#include "delivery/lane.h"
#include "delivery/options.h"
#include "delivery/pool.h"
#include "delivery/session.h"
#include "net/event.h"
#include "net/task_group.h"

namespace postrider::delivery {

/// The pool and the dialler of one courier. Tasks of its own (QUIT, warming up) run in `tasks`.
class Connections {
public:
    /// All references must outlive it.
    Connections(const Options&, Dialler&, const Clock&, const Gate&, net::TaskGroup& tasks,
                boost::asio::any_io_executor);

    /// A warm session unless `fresh`, else a new one, or why there is none.
    net::Awaitable<Dialled> get(DialRequest request, bool fresh);
    /// A new one without mail in hand.
    net::Awaitable<Dialled> dial(DialRequest request) { return dialler_.dial(std::move(request)); }
    /// Keeps it warm, or says QUIT.
    void give_back(const std::string& next_hops, const mail::Address& sender,
                   std::unique_ptr<Session>);
    /// QUIT, without waiting.
    void retire(std::unique_ptr<Session>);

    /// Says QUIT to those idle for too long. Spawn it once; ends after stop().
    net::Awaitable<void> retire_idle();
    void stop() { idle_changed_.set(); }
    void retire_all();
    /// Closes those that are idle without a word: nobody may be there any more.
    void drop_idle() { pool_.take_all(); }

    std::size_t idle(const std::string& next_hops) const { return pool_.idle(next_hops); }

private:
    static net::Awaitable<void> quit(std::unique_ptr<Session> session, const Clock& clock);
    std::string key(const std::string& next_hops, const mail::Address& sender) const;

    const Options& options_;
    Dialler& dialler_;
    const Clock& clock_;
    const Gate& gate_;
    net::TaskGroup& tasks_;
    Pool pool_;
    net::Event idle_changed_;
};

}  // namespace postrider::delivery
