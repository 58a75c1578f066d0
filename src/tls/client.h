// TLS to a server: contexts, trust, resumption, and the one judgement about its certificate.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "core/clock.h"
#include "core/log.h"
#include "net/stream.h"
#include "tls/policy.h"
#include "tls/stream.h"

namespace postrider::tls {

/// Files with certificates and keys, as the configuration names them.
struct MaterialFiles {
    std::filesystem::path ca_file;
    std::filesystem::path ca_path;  ///< a directory of `HHHHHHHH.N`, as c_rehash makes it
    bool system_store = false;      ///< also trust what the system trusts
    std::vector<std::filesystem::path> chain;  ///< own certificate and chain
    std::filesystem::path key;
    std::vector<std::filesystem::path> anchors;  ///< for Policy::trust_anchors
};

/// Their content (PEM): all that TLS needs from files, so that it can be read before a sandbox
/// closes and handed from one process to another. `key` is a secret.
struct Material {
    std::string authorities;
    std::string authorities_origin;  ///< for the log: `/etc/ssl/certs, 140 certificates`
    std::string chain;
    std::string key;
    std::map<std::string, std::string> anchors;
};

/// Has OpenSSL read its own configuration (openssl.cnf) now: later, a process may be confined.
void load_library();
/// `OpenSSL 3.0.11 19 Sep 2023`: as it is linked now.
std::string_view library_version();

/// Reads the files. An empty store is no error: then nothing is trusted. Unreadable files are.
Result<Material> read_material(const MaterialFiles&);

/// Whom we mean to speak to.
struct Peer {
    std::string host;     ///< the server's name; never empty
    std::string address;  ///< `192.0.2.1`
    std::uint16_t port = 0;
    std::string nexthop;  ///< the destination without brackets and port

    /// `host[address]:port`, as in the log.
    std::string text() const;
};

/// Opens TLS connections. Keeps one context for each distinct policy and the sessions that can be
/// resumed, each used only for the same server, port and policy. Belongs to the network thread.
class Client {
public:
    /// Costs little: authorities are sorted by subject when a policy first needs them, and parsed
    /// when a chain names them. `clock` outlives it.
    Client(Material, const Clock& clock);
    ~Client();

    /// Makes the context for a policy in advance. ErrorCode::Invalid says what is wrong with it.
    Result<void> prepare(const Policy&);

    /// Shakes hands over `inner`, judges the certificate, and logs at `log_level` (0-4) what
    /// Postfix logs. Only a connection that satisfies the policy is returned. Otherwise:
    ///   Denied    - the certificate does not satisfy the policy (`Server certificate not
    ///   verified`) Invalid   - policy, material or peer make no sense (`client TLS configuration
    ///   problem`) Protocol, Connection, Timeout - the handshake failed (`Cannot start TLS:
    ///   handshake failure`) Cancelled - we stopped it
    net::Awaitable<Result<std::unique_ptr<TlsStream>>> connect(std::unique_ptr<net::Stream> inner,
                                                               Peer peer, Policy policy,
                                                               int log_level, Log log,
                                                               MonotonicTime deadline);

    /// Sessions kept for resumption.
    std::size_t sessions() const;
    /// Logs the lookups of sessions at level 2, as with smtp_tls_session_cache_database.
    void announce_session_cache(bool);

private:
    class Implementation;
    std::shared_ptr<Implementation> implementation_;  ///< shared with the connections it made
};

}  // namespace postrider::tls
