// One side of a TLS conversation over a stream of ours. Only for sources of this module.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include <boost/asio/steady_timer.hpp>

#include "core/log.h"
#include "net/event.h"
#include "net/stream.h"
#include "tls/openssl.h"
#include "tls/stream.h"

namespace postrider::tls {

/// Moves bytes between OpenSSL and the inner stream: what OpenSSL wants to send gathers in
/// `outgoing` and goes out in one write, what arrives waits in `incoming` until OpenSSL takes it.
class Connection {
public:
    /// `role` is SSL_set_connect_state or SSL_set_accept_state.
    Connection(Ssl, std::unique_ptr<net::Stream> inner, void (*role)(SSL*));
    ~Connection();
    Connection(const Connection&) = delete;
    Connection& operator=(const Connection&) = delete;

    net::Awaitable<Result<void>> handshake(MonotonicTime deadline);
    net::Awaitable<Result<std::size_t>> read_some(std::span<char> into, MonotonicTime deadline);
    net::Awaitable<Result<void>> write(std::span<const boost::asio::const_buffer> buffers,
                                       MonotonicTime deadline);
    net::Awaitable<Result<void>> finish(MonotonicTime deadline);
    void cancel();
    void close();

    SSL* ssl() const { return ssl_.get(); }
    net::Stream& inner() { return *inner_; }
    static Connection& of(const SSL*);

    /// Logs the bytes on the wire, with `PEER` lines as Postfix dumps them.
    void dump_to(std::optional<Log> log) { dump_ = std::move(log); }
    void conceal(bool on) { concealed_ = on; }

    Session session;
    /// Called with each session the server lets us resume; set by the client's side.
    std::function<void(SslSession)> on_session;
    /// For callbacks of the library during the handshake; owned by whoever shakes hands.
    void* handshake_state = nullptr;
    /// Whatever must live as long as the connection.
    std::shared_ptr<void> owner;

private:
    struct Wire;

    net::Awaitable<Result<void>> receive(MonotonicTime deadline);
    net::Awaitable<Result<void>> flush(MonotonicTime deadline);
    net::Awaitable<Result<void>> encrypt(std::string_view text, MonotonicTime deadline);
    Unexpected failure(const char* attempt, int result);
    void dump(const char* verb, std::string_view bytes) const;

    Ssl ssl_;
    std::unique_ptr<net::Stream> inner_;
    std::unique_ptr<Wire> wire_;
    std::optional<Log> dump_;
    bool concealed_ = false;
    bool failed_ = false;
    bool writing_ = false;
    std::unique_ptr<net::Event> written_;  ///< of the flush under way, for who waits behind it
};

/// What both sides can say of an established connection: versions, cipher, key exchange.
void describe(SSL*, Session&);

}  // namespace postrider::tls
