// From a fresh connection to a session that takes mail: TLS, EHLO, AUTH.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include <boost/asio/any_io_executor.hpp>

#include "core/clock.h"
#include "core/log.h"
#include "core/secret.h"
#include "delivery/channel.h"
#include "delivery/classify.h"
#include "delivery/options.h"
#include "delivery/session.h"
#include "tls/client.h"
#include "tls/policy.h"

namespace postrider::delivery {

/// The TLS that one server must offer.
struct TlsChoice {
    tls::Policy policy;
    int log_level = 0;  ///< smtp_tls_loglevel
};

/// What proves us to one server; none where the tables know no password for it.
struct Login {
    std::string user;
    Secret password;
};

/// Looks the password up: by sender where that is wanted, by host name, by next hop as written.
Result<std::optional<Login>> find_login(const table::Tables& passwords, const SessionOptions&,
                                        const Peer&, const NextHop&, const mail::Address& sender,
                                        std::string_view recipient_delimiter);

/// One handshake. Nothing learned before TLS is used after it (RFC 3207 4.2).
class Handshake {
public:
    Handshake(const SessionOptions&, const TlsChoice&, tls::Client&, boost::asio::any_io_executor,
              const Clock&, const Log&, Peer, std::string next_hop_domain, std::string queue_id);

    /// A channel that reads all the time, and what the server offers; or what went wrong.
    net::Awaitable<std::optional<Verdict>> run(std::unique_ptr<net::Stream> stream,
                                               std::optional<Login> login);
    /// To be asked before AUTH; before run().
    void set_gate(LoginGate* gate) { gate_ = gate; }
    std::unique_ptr<Channel> take_channel() { return std::move(channel_); }
    const smtp::Capabilities& capabilities() const { return capabilities_; }

private:
    using Trouble = std::optional<Verdict>;
    net::Awaitable<Trouble> greet();
    net::Awaitable<Trouble> hello();
    net::Awaitable<Trouble> start_tls();
    net::Awaitable<Trouble> encrypt(std::unique_ptr<net::Stream> stream);
    net::Awaitable<Trouble> log_in(const Login&);
    net::Awaitable<Trouble> authenticate(const Login&);
    Trouble lost(Stage, const Error&) const;
    std::string with_id(std::string_view text) const;
    MonotonicTime after(std::chrono::seconds timeout) const { return clock_.monotonic() + timeout; }

    const SessionOptions& options_;
    const TlsChoice& tls_choice_;
    tls::Client& tls_;
    boost::asio::any_io_executor executor_;
    const Clock& clock_;
    const Log& log_;
    Peer peer_;
    std::string next_hop_domain_;
    std::string queue_id_;
    std::unique_ptr<StreamChannel> channel_;
    smtp::Capabilities capabilities_;
    LoginGate* gate_ = nullptr;
    bool encrypted_ = false;
    bool verified_ = false;
    bool esmtp_greeting_ = false;
    tls::TlsStream* tls_stream_ = nullptr;  // Owned by the channel; for concealing AUTH.
};

}  // namespace postrider::delivery
