// The one place that decides whether a server is who the policy demands. Only for sources of this
// module.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "core/log.h"
#include "tls/client.h"
#include "tls/openssl.h"

namespace postrider::tls {

/// What the check of a certificate chain found, filled in by check_chain() during a full handshake.
struct ChainCheck {
    int error = X509_V_OK;  ///< the one nearest to the server's own certificate
    int depth = -1;         ///< where
    Certificate certificate;
    int depth_max = 9;
    std::string peer;          ///< `host[address]:port`
    const Log* log = nullptr;  ///< for the lines of level 2
};

/// For SSL_CTX_set_cert_verify_callback: checks the chain, notes the outcome in the ChainCheck that
/// is Connection::handshake_state, and lets the handshake go on, so that judge() has the last word.
int check_chain(X509_STORE_CTX*, void*);

struct Judgement {
    Trust trust = Trust::Untrusted;
    bool satisfies = false;  ///< the policy; only then may the connection be used
    std::string matched_name;
};

/// Decides, after every handshake, full or resumed, and logs why not.
Judgement judge(SSL*, const ChainCheck&, const Policy&, const Peer&, int log_level, const Log&);

/// Whether one of the certificate's DNS names (subjectAltName; never the common name) is `name`;
/// `.suffix` matches any name below it. A wildcard is a whole left-most label. Address literals
/// match nothing. Returns the certificate's name that matched.
std::string matching_name(X509*, std::string_view name);

/// `AA:BB:...` of the certificate and of its public key.
std::string certificate_fingerprint(const X509*, const std::string& digest);
std::string public_key_fingerprint(const X509*, const std::string& digest);

}  // namespace postrider::tls
