// The queue's side of the door that RemoteInbox knocks at.
#pragma once

#include <functional>
#include <memory>

#include <boost/asio/any_io_executor.hpp>

#include "core/clock.h"
#include "core/log.h"
#include "core/unique_fd.h"
#include "net/stream.h"

namespace postrider::queue {

class Queue;

/// Serves connected unix stream sockets, each the other end of one RemoteInbox. The peer parses
/// what strangers send and may be under their command: whatever it says, the worst that follows is
/// that its channel is closed and its unfinished messages are discarded.
///
/// Queue, Clock and sink of the Log must outlive it.
class InboxServer {
public:
    struct Options {
        bool long_queue_ids = false;
        std::size_t recipients_max = 50000;  ///< Per message; more is a breach of protocol.
    };

    InboxServer(Queue&, boost::asio::any_io_executor network, const Clock&, const Log&, Options);
    /// Closes every channel at once; commits under way are finished by the Queue.
    ~InboxServer();

    void attach(UniqueFd channel);

    /// Called when a client begins to hand over a message, at most about once a second: delivery
    /// may warm a connection. Set before the first attach().
    void on_begin(std::function<void()>);

    /// Grants no more numbers and lets messages that have one finish, until the deadline. Then only
    /// the destructor is left to be called, in a later turn: the last answers are just going out.
    net::Awaitable<void> drain(MonotonicTime deadline);

private:
    struct State;
    std::shared_ptr<State> state_;
};

}  // namespace postrider::queue
