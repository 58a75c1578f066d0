// What all attempts of one courier share.
#pragma once

#include <memory>
#include <set>

#include <boost/asio/any_io_executor.hpp>

#include "core/clock.h"
#include "core/log.h"
#include "delivery/account_keeper.h"
#include "delivery/ages.h"
#include "delivery/connections.h"
#include "delivery/lane.h"
#include "delivery/logins.h"
#include "delivery/options.h"
#include "delivery/queue_content.h"
#include "delivery/reporter.h"
#include "delivery/route.h"
#include "delivery/settler.h"
#include "delivery/summaries.h"
#include "delivery/transaction.h"
#include "net/event.h"
#include "net/task_group.h"
#include "queue/queue.h"

namespace postrider::delivery {

/// Belongs to the courier, which wires it; attempts use it.
struct Depot {
    Depot(const Options&, const Maps&, queue::Queue&, Dialler&, const Clock&, const Ages&,
          boost::asio::any_io_executor, const Log&);

    const Options& options;
    queue::Queue& queue;
    const Clock& clock;
    boost::asio::any_io_executor executor;
    Log smtp_log, qmgr_log, bounce_log, error_log;
    Router router;
    net::TaskGroup tasks;
    net::Event due;  ///< The scheduler should look again.
    Gate gate;
    Ages ages;
    const std::shared_ptr<Larder> larder = std::make_shared<Larder>();
    LoginBook logins;
    AccountKeeper keeper;
    LoginTurns login_turns;
    Lanes lanes;
    Connections connections;
    Settler settler;
    Reporter reporter;
    Summaries summaries;

    /// There is no session; the attempt to get one began at `begun`.
    void learn_from_dialling(Lane&, const KnownLogin&, const Verdict&, WallTime begun);
    /// What a transaction that began at `begun`, over a session logged in at `ready`, says beyond
    /// its own message.
    void learn_from_transaction(Lane&, const KnownLogin&, const Outcomes&, WallTime ready,
                                WallTime begun);
};

}  // namespace postrider::delivery
