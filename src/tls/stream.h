// A TLS connection as a stream.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "net/stream.h"

namespace postrider::tls {

class Connection;

/// How far the other side's identity is known.
enum class Trust {
    Anonymous,  ///< it showed no certificate
    Untrusted,  ///< no authority that we trust vouches for it, or not for this name
    Trusted,    ///< an authority vouches for it; nobody asked for a name
    Verified,   ///< it is who the policy demands
};

std::string_view to_string(Trust);

/// What was agreed on in the handshake.
struct Session {
    Trust trust = Trust::Untrusted;
    bool resumed = false;
    std::string protocol;  ///< `TLSv1.3`
    std::string cipher;    ///< `TLS_AES_256_GCM_SHA384`
    int cipher_bits = 0;
    int cipher_algorithm_bits = 0;
    std::string key_exchange;      ///< TLS 1.3: `X25519`, `ECDHE (P-256)`, `DHE (2048 bits)`
    std::string server_signature;  ///< TLS 1.3, not resumed: `RSA-PSS (2048 bits)`
    std::string server_digest;     ///< `SHA256`
    std::string peer_name;         ///< the certificate's name that matched
    std::string requested_name;    ///< on the server's side: the name the client asked for (SNI)
};

/// `TLSv1.3 with cipher TLS_AES_256_GCM_SHA384 (256/256 bits) key-exchange X25519 ...`
std::string description(const Session&);

/// Encrypts over another stream, which it owns. Writes are gathered into records of 16 KB and
/// flights of 64 KB. The end of the inner stream without the peer's close_notify is
/// ErrorCode::Connection, what breaks the protocol is ErrorCode::Protocol.
class TlsStream final : public net::Stream {
public:
    explicit TlsStream(std::unique_ptr<Connection>);
    ~TlsStream() override;

    net::Awaitable<Result<std::size_t>> read_some(std::span<char> into,
                                                  MonotonicTime deadline) override;
    net::Awaitable<Result<void>> write(std::span<const boost::asio::const_buffer> buffers,
                                       MonotonicTime deadline) override;
    void cancel() override;
    void close() override;

    /// Says goodbye (close_notify). Nothing can be written afterwards.
    net::Awaitable<Result<void>> finish(MonotonicTime deadline);

    const Session& session() const;
    /// While true, dumps of log level 4 leave out the bytes: authentication is under way.
    void conceal(bool);

private:
    std::unique_ptr<Connection> connection_;
};

}  // namespace postrider::tls
