// Opens SMTP sessions: names, addresses, TLS, EHLO, AUTH.
#pragma once

#include <string>

#include <boost/asio/any_io_executor.hpp>

#include "core/clock.h"
#include "core/log.h"
#include "delivery/options.h"
#include "delivery/session_opener.h"
#include "net/connect.h"
#include "net/resolve.h"

namespace postrider::delivery {

struct DialOptions {
    SessionOptions session;
    net::AddressOrder order;
    net::ConnectOptions connect;
    PortNames ports = PortNames::standard();
    std::uint16_t default_port = 25;
    std::string recipient_delimiter;  ///< See SessionOpener.
};

/// For each next hop in turn: its addresses, in their order; for each of them a connection, and
/// over it a session. Trouble with the account ends the search at once: another address would be
/// one more refused login.
class SmtpDialler final : public Dialler {
public:
    /// All references must outlive it. `seed` shuffles addresses.
    SmtpDialler(const DialOptions&, const Maps&, TlsChooser, net::Resolver&, tls::Client&,
                boost::asio::any_io_executor, const Clock&, const Log&, std::uint64_t seed);

    net::Awaitable<Dialled> dial(DialRequest request) override;
    /// Without a network, what is on this machine and its own addresses.
    bool can_reach(const std::string& next_hops) const override;
    void set_online(bool online) { online_ = online; }

private:
    struct Attempt;
    net::Awaitable<Dialled> dial_hop(const NextHop& hop, const DialRequest& request);

    const DialOptions& options_;
    net::Resolver& resolver_;
    const Clock& clock_;
    Log log_;
    SessionOpener opener_;
    std::uint64_t seed_;
    bool online_ = true;
};

}  // namespace postrider::delivery
