#include "tls/server.h"

#include "tls/connection.h"
#include "tls/openssl.h"

namespace postrider::tls {

class Server::Implementation {
public:
    SslContext context;
};

Result<std::unique_ptr<Server>> Server::create(const ServerOptions& options) {
    auto made = std::make_shared<Implementation>();
    made->context.reset(SSL_CTX_new(TLS_server_method()));
    SSL_CTX* context = made->context.get();
    if (context == nullptr) {
        return Unexpected(ErrorCode::Io, "TLS server: " + library_error("no memory"));
    }
    set_protocols(context, options.protocols.allowed);
    // First the list: it may carry the security level that the key is held to.
    if (!options.ciphers.empty() &&
        SSL_CTX_set_cipher_list(context, options.ciphers.c_str()) != 1) {
        return Unexpected(ErrorCode::Invalid, "TLS server: no usable cipher in the list");
    }
    std::string problem;
    if (!set_identity(context, options.chain, options.key, problem)) {
        return Unexpected(ErrorCode::Invalid, "TLS server: " + problem);
    }
    static constexpr unsigned char kSessionContext[] = "postrider";
    SSL_CTX_set_session_id_context(context, kSessionContext, sizeof kSessionContext - 1);
    if (!options.tickets) {
        SSL_CTX_set_options(context, SSL_OP_NO_TICKET);
        SSL_CTX_set_num_tickets(context, 0);
        SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
    }
    return std::unique_ptr<Server>(new Server(std::move(made)));
}

Server::Server(std::shared_ptr<Implementation> implementation)
    : implementation_(std::move(implementation)) {}
Server::~Server() = default;

net::Awaitable<Result<std::unique_ptr<TlsStream>>> Server::accept(
    std::unique_ptr<net::Stream> inner, MonotonicTime deadline) {
    auto connection = std::make_unique<Connection>(Ssl(SSL_new(implementation_->context.get())),
                                                   std::move(inner), SSL_set_accept_state);
    connection->owner = implementation_;
    auto shaken = co_await connection->handshake(deadline);
    if (!shaken) {
        (void)take_library_errors();
        co_return Unexpected(std::move(shaken).error());
    }
    describe(connection->ssl(), connection->session);
    connection->session.trust = Trust::Anonymous;
    co_return std::make_unique<TlsStream>(std::move(connection));
}

}  // namespace postrider::tls
