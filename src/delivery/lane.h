// One destination's traffic: how much it can bear, and who waits for a turn.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <boost/asio/any_io_executor.hpp>

#include "core/clock.h"
#include "core/fair_turns.h"
#include "delivery/accounts.h"
#include "delivery/congestion.h"
#include "delivery/options.h"
#include "delivery/session.h"
#include "net/event.h"
#include "net/stream.h"

namespace postrider::delivery {

/// Whether anything may be sent at all.
struct Gate {
    bool stopping = false;
    std::size_t unsettled = 0;  ///< Settlements that the store has refused so far (R6).
    /// Gains of the network so far. What failed across one says nothing about the destination.
    std::uint64_t network_gains = 0;
    /// Mail that is too old is tried until then, all the same: it had no network before.
    WallTime no_expiry_until{};
};

enum class Admission : std::uint8_t {
    Go,
    Probe,    ///< Go; the account is in trouble, and this is the one that tries.
    Blocked,  ///< The account is in trouble.
    Stopping,
};

/// The attempts for one destination pass here: those of one party in order of arrival, those of
/// different ones in turn.
class Lane {
public:
    /// The references must outlive it.
    Lane(const Options&, const Accounts&, const Gate&, const Clock&, boost::asio::any_io_executor);

    /// Waits for a turn. Go and Probe must be followed by release().
    net::Awaitable<Admission> admit(const Account& account, const std::string& party);
    void release();
    /// Waits while a connection is being made without mail: it is nearly as good as a warm one, and
    /// if its login is refused, another would be too.
    net::Awaitable<void> wait_for_warmth();

    /// Who waits looks again: the next in line, or everybody.
    void wake_next();
    void wake_all();
    std::size_t waiting() const { return waiting_.size(); }

    Congestion congestion;
    bool out_of_reach = false;  ///< No network: mail waits, and nothing is held against it.
    bool warming = false;
    MonotonicTime warm_by{};  ///< Nobody waits for its warmth any longer.
    // Recipients, since the start of the program.
    std::uint64_t sent = 0;
    std::uint64_t deferred = 0;
    std::uint64_t bounced = 0;

private:
    const Accounts& accounts_;
    const Gate& gate_;
    const Clock& clock_;
    boost::asio::any_io_executor executor_;
    FairTurns turns_;
    std::uint64_t arrivals_ = 0;
    // By place, then by arrival; each event lives in its attempt's frame.
    std::map<std::pair<std::int64_t, std::uint64_t>, net::Event*> waiting_;
    std::vector<net::Event*> for_warmth_;
};

/// The lanes of a courier, by next hops; one is made when it is first asked for.
class Lanes {
public:
    Lanes(const Options& options, const Dialler& dialler, const Accounts& accounts,
          const Gate& gate, const Clock& clock, boost::asio::any_io_executor executor)
        : options_(options),
          dialler_(dialler),
          accounts_(accounts),
          gate_(gate),
          clock_(clock),
          executor_(std::move(executor)) {}

    Lane& to(const std::string& next_hops);
    void wake_all();
    /// The network has changed: asks the dialler which lanes are within reach.
    void look_for_network();

    auto begin() const { return lanes_.begin(); }
    auto end() const { return lanes_.end(); }

private:
    const Options& options_;
    const Dialler& dialler_;
    const Accounts& accounts_;
    const Gate& gate_;
    const Clock& clock_;
    boost::asio::any_io_executor executor_;
    std::map<std::string, std::unique_ptr<Lane>> lanes_;
};

}  // namespace postrider::delivery
