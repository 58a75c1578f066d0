// The scheduler: what is due goes out, and what became of it is recorded.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include <boost/asio/any_io_executor.hpp>

#include "core/clock.h"
#include "core/log.h"
#include "delivery/options.h"
#include "delivery/session.h"
#include "net/stream.h"
#include "queue/queue.h"

namespace postrider::delivery {

/// How one destination fares, for operators.
struct DestinationStatus {
    enum class State : std::uint8_t {
        Ready,      ///< Mail flows, or would.
        Suspended,  ///< It did not answer or refused us; tried again at `next_attempt`.
        Paused,     ///< Account trouble: a person should look.
        Offline,    ///< There is no network to reach it over; tried when there is one again.
    };
    std::string next_hops;
    State state = State::Ready;
    std::string reason;  ///< Empty when ready.
    WallTime since;      ///< Of the present state.
    WallTime next_attempt;
    unsigned window = 0;      ///< Transactions allowed at once.
    unsigned sessions = 0;    ///< Transactions under way.
    std::size_t idle = 0;     ///< Warm connections.
    std::size_t waiting = 0;  ///< Messages leased and waiting for a session.
    std::uint64_t sent = 0;   ///< Recipients, since the start of the program.
    std::uint64_t deferred = 0;
    std::uint64_t bounced = 0;
};

/// Takes due mail from the queue, sends it through the dialler's sessions, settles it.
///
///   lease --> route --> wait for a slot of the destination --> session --> transaction --> settle
///                            (suspended: deferred at once)
///
/// Belongs to the network thread. Sleeps until mail is due or wake() is called: nothing polls.
class Courier {
public:
    /// All references must outlive it.
    Courier(const Options&, const Maps&, queue::Queue&, Dialler&, const Clock&,
            boost::asio::any_io_executor network, const Log&);
    ~Courier();

    /// Works until stop(). Spawn it once.
    net::Awaitable<void> run();

    /// Something may be due: give it to queue::Queue::on_due.
    void wake();
    /// A client begins to hand mail over: opens a connection to the relayhost, if none is warm.
    void warm();
    /// Forgets suspensions and pauses: every destination is tried again now. The network is back,
    /// or the operator says so (then also queue::Queue::flush).
    void flush();
    /// The network has changed: Dialler::can_reach() is asked anew. Mail for what is out of reach
    /// waits, without an attempt, and does not expire. A `gain` (a way out is back, or another one
    /// is there) ends suspensions, though not account trouble, and makes their mail due now.
    void network_changed(bool gain);
    /// The machine was asleep for so long: connections are taken for dead, and all is tried again.
    void resumed(Duration asleep);
    /// Starts nothing new; transactions whose end of data has been sent get stop_grace to be
    /// answered and settled, the others are cut off at once. Returns when run() has ended.
    net::Awaitable<void> stop();

    std::vector<DestinationStatus> status() const;

private:
    struct State;
    std::unique_ptr<State> state_;
};

}  // namespace postrider::delivery
