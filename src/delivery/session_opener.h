// From a connection to a session: TLS policy, password, handshake.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include <boost/asio/any_io_executor.hpp>

#include "core/clock.h"
#include "core/log.h"
#include "delivery/handshake.h"
#include "delivery/options.h"
#include "delivery/session.h"
#include "net/stream.h"
#include "tls/client.h"

namespace postrider::delivery {

/// Policy for a next hop (smtp_tls_security_level, smtp_tls_policy_maps). An error defers.
using TlsChooser = std::function<Result<TlsChoice>(const NextHop&)>;

/// What a dialler does once it has a connection, wherever that came from.
class SessionOpener {
public:
    /// All references must outlive it. `recipient_delimiter` is for sender-dependent passwords.
    SessionOpener(const SessionOptions&, const std::string& recipient_delimiter, const Maps&,
                  TlsChooser, tls::Client&, boost::asio::any_io_executor, const Clock&, const Log&);

    /// Takes a fresh connection. Without a session `trouble` says why, and the connection is gone.
    net::Awaitable<Dialled> open(std::unique_ptr<net::Stream>, Peer, const NextHop&,
                                 const DialRequest&);

private:
    const SessionOptions& options_;
    const std::string& recipient_delimiter_;
    const Maps& maps_;
    TlsChooser choose_tls_;
    tls::Client& tls_;
    boost::asio::any_io_executor executor_;
    const Clock& clock_;
    Log log_;
};

}  // namespace postrider::delivery
