// One SMTP connection that is ready for mail, and how to get it.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "core/clock.h"
#include "delivery/channel.h"
#include "delivery/classify.h"
#include "delivery/options.h"
#include "mail/address.h"
#include "smtp/capabilities.h"

namespace postrider::delivery {

/// Connected, encrypted and authenticated as configured. Owned by whoever runs a transaction on
/// it, between transactions by the pool.
struct Session {
    std::unique_ptr<Channel> channel;
    smtp::Capabilities capabilities;
    Peer peer;
    MonotonicTime opened;
    WallTime ready;            ///< When MAIL could be said for the first time.
    unsigned uses = 0;         ///< Transactions begun.
    MonotonicTime last_heard;  ///< The end of the latest transaction.
};

/// Logins one after the other: a refusal is met once, not once for each connection.
class LoginGate {
public:
    virtual ~LoginGate() = default;
    /// Waits for the turn, which lasts until the gate goes. Nothing if AUTH may be said now, else
    /// why not. May be asked for one address after the other.
    virtual net::Awaitable<std::optional<Verdict>> enter() = 0;
};

/// What is wanted: by value, as it lives in coroutines.
struct DialRequest {
    std::string next_hops;  ///< As relayhost is written.
    bool is_relayhost = true;
    mail::Address sender;       ///< For sender-dependent authentication; may be null.
    std::string queue_id;       ///< For log lines; empty when no message waits for it yet.
    LoginGate* gate = nullptr;  ///< Asked before AUTH. Outlives the dialling.

    DialRequest() = default;
    DialRequest(std::string hops, bool relayhost)
        : next_hops(std::move(hops)), is_relayhost(relayhost) {}
};

/// A session, or why there is none.
struct Dialled {
    std::unique_ptr<Session> session;
    Verdict trouble;           ///< Without a session. Reach is Destination or Account.
    std::optional<Peer> peer;  ///< The host that refused; none if no connection was made.
};

/// Opens sessions. The real one is SmtpDialler; tests script theirs.
class Dialler {
public:
    virtual ~Dialler() = default;
    /// Tries the addresses of the next hops in turn; has logged every one that failed.
    virtual net::Awaitable<Dialled> dial(DialRequest request) = 0;
    /// False while there is no network to try it over.
    virtual bool can_reach(const std::string& next_hops) const;
};

inline bool Dialler::can_reach(const std::string&) const {
    return true;
}

}  // namespace postrider::delivery
