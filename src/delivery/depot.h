// What all attempts of one courier share.
#pragma once

#include <set>

#include <boost/asio/any_io_executor.hpp>

#include "core/clock.h"
#include "core/log.h"
#include "delivery/ages.h"
#include "delivery/connections.h"
#include "delivery/lane.h"
#include "delivery/queue_content.h"
#include "delivery/options.h"
#include "delivery/reporter.h"
#include "delivery/route.h"
#include "delivery/settler.h"
#include "net/event.h"
#include "net/task_group.h"
#include "queue/queue.h"

namespace postrider::delivery {

/// Belongs to the courier, which wires it; attempts use it.
struct Depot {
    Depot(const Options&, const Maps&, queue::Queue&, Dialler&, const Clock&,
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
    Larder larder;
    Lanes lanes;
    Connections connections;
    Settler settler;
    Reporter reporter;

    /// What a session, or the lack of one, says about its destination.
    void learn(Lane&, const std::string& next_hops, Reach, const mail::Disposition& trouble);
};

}  // namespace postrider::delivery
