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
#include "delivery/account_keeper.h"
#include "delivery/ages.h"
#include "delivery/options.h"
#include "delivery/session.h"
#include "net/stream.h"
#include "queue/queue.h"

namespace postrider::delivery {

/// How one destination fares, for operators.
struct DestinationStatus {
    std::string next_hops;
    bool offline = false;     ///< There is no network to reach it over; tried when there is one.
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
///                            (account in trouble: waits for it)
///
/// Belongs to the network thread. Sleeps until mail is due or wake() is called: nothing polls.
class Courier {
public:
    /// All references must outlive it, but for `ages`, which it copies.
    Courier(const Options&, const Maps&, queue::Queue&, Dialler&, const Clock&, const Ages&,
            boost::asio::any_io_executor network, const Log&);
    ~Courier();

    /// Works until stop(). Spawn it once.
    net::Awaitable<void> run();

    /// Something may be due: give it to queue::Queue::on_due.
    void wake();
    /// A client begins to hand mail over: opens a connection to the relayhost, if none is warm.
    void warm();
    /// An operator says so: every account in trouble is tried now, by one message (for the others
    /// see queue::Queue::flush).
    void flush();
    /// The network has changed: Dialler::can_reach() is asked anew. Mail for what is out of reach
    /// waits, without an attempt, and does not expire. After a `gain` (a way out is back, or
    /// another one is there) smarthosts that could not be reached are tried now; logins that were
    /// refused are not.
    void network_changed(bool gain);
    /// The machine was asleep for so long: connections are taken for dead, and all is tried again.
    void resumed(Duration asleep);
    /// Mail for these next hops, as relayhost is written, waits until resume(); it is taken in as
    /// ever. Empty: the relayhost.
    void pause(const std::string& next_hops);
    /// Ends a pause; other trouble is tried now. Empty: everywhere.
    void resume(const std::string& next_hops);
    /// Set once, before run().
    void on_alert(Alarm alarm);
    /// Starts nothing new; transactions whose end of data has been sent get stop_grace to be
    /// answered and settled, the others are cut off at once. Returns when run() has ended, and not
    /// before the store has taken every outcome that is known (R6): with a broken disk that is
    /// late.
    net::Awaitable<void> stop();

    std::vector<DestinationStatus> status() const;
    std::vector<queue::AccountTrouble> troubles() const;

private:
    std::string relayhost() const;

    struct State;
    std::unique_ptr<State> state_;
};

}  // namespace postrider::delivery
