// The operator's socket.
#pragma once

#include <memory>

#include <boost/asio/any_io_executor.hpp>

#include "control/service.h"
#include "core/log.h"
#include "net/listener.h"
#include "net/task_group.h"
#include "net/timers.h"

namespace postrider::control {

/// Answers one request on each connection, as the kernel says who is there. Whatever a peer sends,
/// the worst that follows is the end of its own connection.
class Server {
public:
    static constexpr std::size_t kConnectionsMax = 50;
    static constexpr std::chrono::seconds kPatience{
        60};  ///< With a peer that says or reads nothing.

    Server(std::unique_ptr<net::Listener>, Service&, boost::asio::any_io_executor, net::Timers&,
           const Log&);

    /// Accepts until the listener is closed or the task cancelled.
    net::Awaitable<void> run();
    /// Accepts no more; whoever is being answered has until `deadline`.
    net::Awaitable<void> finish(MonotonicTime deadline);

private:
    net::Awaitable<void> converse(std::unique_ptr<net::SocketStream> stream);

    std::unique_ptr<net::Listener> listener_;
    Service& service_;
    net::Timers& timers_;
    Log log_;
    net::TaskGroup connections_;
};

}  // namespace postrider::control
