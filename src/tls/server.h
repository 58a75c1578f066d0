// TLS on the server's side.
#pragma once

#include <memory>
#include <string>

#include "net/stream.h"
#include "tls/policy.h"
#include "tls/stream.h"

namespace postrider::tls {

struct ServerOptions {
    std::string chain;  ///< PEM: the certificate, then its chain
    std::string key;    ///< PEM; a secret
    Protocols protocols;
    std::string ciphers;  ///< for TLS 1.2 and older; empty: OpenSSL's default
    bool tickets = true;  ///< lets clients resume sessions
};

/// Accepts TLS connections with one certificate.
class Server {
public:
    static Result<std::unique_ptr<Server>> create(const ServerOptions&);
    ~Server();

    /// Errors as for Client::connect.
    net::Awaitable<Result<std::unique_ptr<TlsStream>>> accept(std::unique_ptr<net::Stream> inner,
                                                              MonotonicTime deadline);

private:
    class Implementation;
    explicit Server(std::shared_ptr<Implementation>);

    std::shared_ptr<Implementation> implementation_;
};

}  // namespace postrider::tls
