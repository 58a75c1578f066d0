#include "tls/client.h"

#include <algorithm>
#include <list>

#include <fmt/format.h>
#include <openssl/err.h>

#include "core/ascii.h"
#include "tls/connection.h"
#include "tls/store.h"
#include "tls/verify.h"

namespace postrider::tls {
namespace {

// Policies come from the configuration; a policy table may name many.
constexpr std::size_t kContextsMax = 100;
constexpr std::size_t kSessionsMax = 1000;
// TLS 1.3 servers hand out several tickets, each good for one connection.
constexpr std::size_t kSessionsPerServerMax = 4;

std::string sni_for(const Policy& policy, const Peer& peer) {
    std::string name = policy.server_name;
    if (equals_ignoring_case(name, "hostname")) name = peer.host;
    if (equals_ignoring_case(name, "nexthop")) name = peer.nexthop;
    if (name.ends_with('.')) name.pop_back();
    return name;
}

bool is_address(std::string_view name) {
    return name.find(':') != name.npos || name.find_first_not_of("0123456789.[]") == name.npos;
}

// A host name that is empty or no name at all would be checked against nothing.
bool is_host_name(std::string_view name) {
    return !name.empty() && name.size() <= 255 && is_ascii(name) &&
           std::none_of(name.begin(), name.end(), [](char c) {
               return is_ascii_control(c) || is_ascii_space(c) || c == '*' || c == '/';
           });
}

}  // namespace

std::string Peer::text() const {
    return fmt::format("{}[{}]:{}", host, address, port);
}

class Client::Implementation : public std::enable_shared_from_this<Client::Implementation> {
public:
    Implementation(Material material, const Clock& clock)
        : material_(std::move(material)), clock_(&clock) {}
    ~Implementation() { OPENSSL_cleanse(material_.key.data(), material_.key.size()); }

    Result<SSL_CTX*> context_for(const Policy& policy);
    SslSession take_session(const std::string& id);
    void keep_session(const std::string& id, SslSession session, Duration lifetime);

    std::size_t session_count() const {
        std::size_t count = 0;
        for (const auto& [id, list] : sessions_) count += list.size();
        return count;
    }

    bool announced = false;        ///< the line that comes once
    bool announces_cache = false;  ///< the lines about sessions

private:
    struct Kept {
        SslSession session;
        MonotonicTime expires;
    };

    Result<SslContext> make_context(const Policy& policy);
    Result<X509_STORE*> store_for(const Policy& policy);

    Material material_;
    const Clock* clock_;
    std::map<std::string, SslContext> contexts_;      ///< by canonical policy
    std::map<std::string, CertificateStore> stores_;  ///< by the name of the anchors
    std::map<std::string, std::list<Kept>> sessions_;
};

Result<SSL_CTX*> Client::Implementation::context_for(const Policy& policy) {
    const std::string key = canonical(policy);
    const auto known = contexts_.find(key);
    if (known != contexts_.end()) return known->second.get();
    auto made = make_context(policy);
    if (!made) return Unexpected(std::move(made).error());
    // Connections hold references of their own.
    if (contexts_.size() >= kContextsMax) contexts_.erase(contexts_.begin());
    return contexts_.emplace(key, std::move(*made)).first->second.get();
}

Result<X509_STORE*> Client::Implementation::store_for(const Policy& policy) {
    const std::string& name = policy.trust_anchors;
    const auto known = stores_.find(name);
    if (known != stores_.end()) return known->second.get();
    const auto anchors = material_.anchors.find(name);
    if (!name.empty() && anchors == material_.anchors.end()) {
        return Unexpected(ErrorCode::Invalid, "trust anchors " + name + ": not loaded");
    }
    std::string& pem = name.empty() ? material_.authorities : anchors->second;
    auto store = open_store(pem);
    if (!store) return Unexpected(std::move(store).error());
    // The store has its own copy and is kept.
    pem = std::string();
    // An anchor need not be self-signed to be trusted.
    if (!name.empty()) {
        X509_VERIFY_PARAM_set_flags(X509_STORE_get0_param(store->get()), X509_V_FLAG_PARTIAL_CHAIN);
    }
    return stores_.emplace(name, std::move(*store)).first->second.get();
}

Result<SslContext> Client::Implementation::make_context(const Policy& policy) {
    const auto invalid = [](std::string what) {
        ERR_clear_error();
        return Unexpected(ErrorCode::Invalid, std::move(what));
    };
    ERR_clear_error();
    SslContext made(SSL_CTX_new(TLS_client_method()));
    SSL_CTX* context = made.get();
    if (context == nullptr) return Unexpected(ErrorCode::Io, library_error("no memory"));
    set_protocols(context, policy.protocols.allowed);
    if (policy.protocols.allowed == 0) return invalid("no TLS protocol is left");
    // 2: RSA keys of 2048 bits at least, and no SHA-1. A smaller key can be bought.
    SSL_CTX_set_security_level(context, demands_match(policy.level) ? 2 : 0);
    std::string ciphers = policy.ciphers;
    if (ciphers.empty()) ciphers = *cipher_list(CipherGrades(), "medium", policy.level, "");
    if (SSL_CTX_set_cipher_list(context, ciphers.c_str()) != 1) {
        return invalid(fmt::format("no usable cipher in \"{}\"", ciphers));
    }
    std::string groups = policy.curves;
    std::replace_if(
        groups.begin(), groups.end(), [](char c) { return c == ' ' || c == ','; }, ':');
    if (!groups.empty() && SSL_CTX_set1_groups_list(context, groups.c_str()) != 1) {
        return invalid(fmt::format("unusable curves \"{}\"", policy.curves));
    }
    if (EVP_get_digestbyname(policy.fingerprint_digest.c_str()) == nullptr) {
        return invalid(fmt::format("digest algorithm \"{}\" not found", policy.fingerprint_digest));
    }
    std::string problem;
    if (!material_.chain.empty() &&
        !set_identity(context, material_.chain,
                      material_.key.empty() ? material_.chain : material_.key, problem)) {
        return invalid(problem);
    }
    auto store = store_for(policy);
    if (!store) return Unexpected(std::move(store).error());
    SSL_CTX_set1_cert_store(context, *store);
    // One more than the limit, to tell a long chain from an incomplete one.
    SSL_CTX_set_verify_depth(context, policy.verify_depth + 1);
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER, nullptr);
    SSL_CTX_set_cert_verify_callback(context, check_chain, nullptr);
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(context, [](SSL* ssl, SSL_SESSION* session) {
        auto& keep = Connection::of(ssl).on_session;
        if (!keep) return 0;
        keep(SslSession(session));
        return 1;
    });
    return made;
}

SslSession Client::Implementation::take_session(const std::string& id) {
    const auto found = sessions_.find(id);
    if (found == sessions_.end()) return nullptr;
    auto& list = found->second;
    std::erase_if(list, [&](const Kept& kept) { return kept.expires <= clock_->monotonic(); });
    SslSession session;
    if (!list.empty()) {
        session = std::move(list.back().session);
        // A ticket of TLS 1.3 used twice would let an observer link the connections.
        if (SSL_SESSION_get_protocol_version(session.get()) >= TLS1_3_VERSION) {
            list.pop_back();
        } else {
            SSL_SESSION_up_ref(session.get());
            list.back().session.reset(session.get());
        }
    }
    if (list.empty()) sessions_.erase(found);
    return session;
}

void Client::Implementation::keep_session(const std::string& id, SslSession session,
                                          Duration lifetime) {
    if (session_count() >= kSessionsMax) sessions_.erase(sessions_.begin());
    // A copy: OpenSSL spoils the session of a connection that is cut off, as idle ones often are.
    SslSession copy(SSL_SESSION_dup(session.get()));
    if (!copy) return;
    Kept kept{std::move(copy), clock_->monotonic() + lifetime};
    auto& list = sessions_[id];
    const bool single_use = SSL_SESSION_get_protocol_version(kept.session.get()) >= TLS1_3_VERSION;
    if (!single_use) list.clear();
    list.push_back(std::move(kept));
    if (list.size() > kSessionsPerServerMax) list.pop_front();
}

namespace {

std::string session_id(const Peer& peer, const Policy& policy) {
    const std::string text = canonical(policy);
    unsigned char bytes[EVP_MAX_MD_SIZE];
    unsigned size = 0;
    EVP_Digest(text.data(), text.size(), bytes, &size, EVP_sha256(), nullptr);
    std::string digest;
    for (unsigned i = 0; i < size; ++i) digest += fmt::format("{:02X}", bytes[i]);
    // Names and port, not the address: a server's farm shares its tickets, and the certificate is
    // judged again. The policy's digest keeps sessions of one policy from serving another.
    return fmt::format("smtp&{}&{}&{}&&{}", peer.nexthop, peer.host, peer.port, digest);
}

void log_state(const SSL* ssl, int where, int result) {
    const auto* check = static_cast<const ChainCheck*>(Connection::of(ssl).handshake_state);
    if (check == nullptr || check->log == nullptr) return;
    const char* state = SSL_state_string_long(ssl);
    if ((where & SSL_CB_LOOP) != 0) {
        check->log->info(fmt::format("SSL_connect:{}", state));
    } else if ((where & SSL_CB_ALERT) != 0) {
        // The farewell of a connection is not worth a line.
        if ((result & 0xff) == SSL3_AD_CLOSE_NOTIFY) return;
        check->log->info(
            fmt::format("SSL3 alert {}:{}:{}", (where & SSL_CB_READ) != 0 ? "read" : "write",
                        SSL_alert_type_string_long(result), SSL_alert_desc_string_long(result)));
    } else if ((where & SSL_CB_EXIT) != 0 && result == 0) {
        check->log->info(fmt::format("SSL_connect:failed in {}", state));
    } else if ((where & SSL_CB_EXIT) != 0 && result < 0 && SSL_want(ssl) == SSL_NOTHING) {
        check->log->info(fmt::format("SSL_connect:error in {}", state));
    }
}

std::string handshake_failure_text(const Error& error) {
    switch (error.code) {
        case ErrorCode::Timeout:
            return "Connection timed out";
        case ErrorCode::Connection:
            return "lost connection";
        case ErrorCode::Cancelled:
        case ErrorCode::Protocol:
        case ErrorCode::Io:
        case ErrorCode::DiskFull:
        case ErrorCode::NotFound:
        case ErrorCode::Denied:
        case ErrorCode::Invalid:
        case ErrorCode::Limit:
        case ErrorCode::Corrupt:
        case ErrorCode::Unavailable:
            return "-1";
    }
    return "-1";
}

void log_handshake_failure(const Peer& peer, const Error& error, const Log& log) {
    if (error.code == ErrorCode::Cancelled) return;
    log.info(
        fmt::format("SSL_connect error to {}: {}", peer.text(), handshake_failure_text(error)));
    for (const auto& text : take_library_errors()) log.warning("TLS library problem: " + text);
}

}  // namespace

Client::Client(Material material, const Clock& clock)
    : implementation_(std::make_shared<Implementation>(std::move(material), clock)) {}
Client::~Client() = default;

Result<void> Client::prepare(const Policy& policy) {
    auto context = implementation_->context_for(policy);
    if (!context) return Unexpected(std::move(context).error());
    return {};
}

net::Awaitable<Result<std::unique_ptr<TlsStream>>> Client::connect(
    std::unique_ptr<net::Stream> inner, Peer peer, Policy policy, int log_level, Log log,
    MonotonicTime deadline) {
    // The coroutine may outlive the client.
    const auto self = implementation_;
    const bool verbose = log_level >= 2;
    if (verbose && !std::exchange(self->announced, true)) {
        log.info("initializing the client-side TLS engine");
    }
    if (!is_host_name(peer.host)) {
        co_return Unexpected(ErrorCode::Invalid, "TLS to a server without a name");
    }
    auto context = self->context_for(policy);
    if (!context) {
        log.warning(peer.text() + ": " + context.error().message);
        co_return Unexpected(std::move(context).error());
    }
    if (verbose) {
        log.info("setting up TLS connection to " + peer.text());
        const std::string ciphers = policy.ciphers.empty()
                                        ? *cipher_list(CipherGrades(), "medium", policy.level, "")
                                        : policy.ciphers;
        log.info(fmt::format("{}: TLS cipher list \"{}\"", peer.text(), ciphers));
    }

    ChainCheck check;
    check.peer = peer.text();
    check.depth_max = policy.verify_depth;
    check.log = verbose ? &log : nullptr;
    const bool announces = verbose && self->announces_cache;
    const std::string id = session_id(peer, policy);
    auto connection = std::make_unique<Connection>(Ssl(SSL_new(*context)), std::move(inner),
                                                   SSL_set_connect_state);
    SSL* ssl = connection->ssl();
    connection->owner = self;
    connection->handshake_state = &check;
    if (verbose) SSL_set_info_callback(ssl, log_state);
    if (log_level >= 3) connection->dump_to(log);
    const std::string sni = sni_for(policy, peer);
    if (!sni.empty() && !is_address(sni)) SSL_set_tlsext_host_name(ssl, sni.c_str());

    std::vector<SslSession> fresh;
    if (policy.session_lifetime > Duration::zero()) {
        if (announces) log.info(fmt::format("looking for session {} in smtp cache", id));
        if (const SslSession old = self->take_session(id)) {
            if (announces) log.info(fmt::format("reloaded session {} from smtp cache", id));
            SSL_set_session(ssl, old.get());
        }
        connection->on_session = [&fresh](SslSession s) { fresh.push_back(std::move(s)); };
    }

    auto shaken = co_await connection->handshake(deadline);
    connection->on_session = nullptr;
    if (!shaken) {
        connection->handshake_state = nullptr;
        log_handshake_failure(peer, shaken.error(), log);
        co_return Unexpected(std::move(shaken).error());
    }
    describe(ssl, connection->session);
    const Judgement judgement = judge(ssl, check, policy, peer, log_level, log);
    // The states after this belong to nobody's handshake.
    connection->handshake_state = nullptr;
    connection->session.trust = judgement.trust;
    connection->session.peer_name = judgement.matched_name;
    if (log_level >= 1) {
        log.info(fmt::format("{} TLS connection established to {}: {}", to_string(judgement.trust),
                             peer.text(), description(connection->session)));
    }
    if (!judgement.satisfies) {
        (co_await connection->finish(deadline)).has_value();
        co_return Unexpected(ErrorCode::Denied, "Server certificate not verified");
    }
    if (policy.session_lifetime > Duration::zero()) {
        // Only sessions that were judged well are kept, also those whose tickets come later.
        auto keep = [weak = std::weak_ptr(self), id, lifetime = policy.session_lifetime, announces,
                     log](SslSession session) {
            if (announces) log.info(fmt::format("save session {} to smtp cache", id));
            if (auto owner = weak.lock()) owner->keep_session(id, std::move(session), lifetime);
        };
        for (auto& session : fresh) keep(std::move(session));
        connection->on_session = keep;
    }
    if (log_level < 4) connection->dump_to(std::nullopt);
    co_return std::make_unique<TlsStream>(std::move(connection));
}

std::size_t Client::sessions() const {
    return implementation_->session_count();
}

void Client::announce_session_cache(bool on) {
    implementation_->announces_cache = on;
}

}  // namespace postrider::tls
