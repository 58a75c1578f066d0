// Words for what was agreed on in a handshake.
#include <fmt/format.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>

#include "tls/connection.h"

namespace postrider::tls {
namespace {

std::string curve_of(EVP_PKEY* key) {
    char name[80];
    std::size_t size = 0;
    if (EVP_PKEY_get_group_name(key, name, sizeof name, &size) != 1) return "unknown";
    const char* nist = EC_curve_nid2nist(OBJ_txt2nid(name));
    return nist == nullptr ? std::string(name, size) : nist;
}

std::string key_exchange_of(SSL* ssl) {
    EVP_PKEY* key = nullptr;
    if (SSL_get_peer_tmp_key(ssl, &key) != 1) return "";
    const PrivateKey owned(key);
    switch (EVP_PKEY_get_base_id(key)) {
        case EVP_PKEY_EC:
            return fmt::format("ECDHE ({})", curve_of(key));
        case EVP_PKEY_DH:
            return fmt::format("DHE ({} bits)", EVP_PKEY_get_bits(key));
        default:
            return OBJ_nid2sn(EVP_PKEY_get_base_id(key));
    }
}

std::string signature_of(SSL* ssl) {
    int type = 0;
    const X509* certificate = SSL_get0_peer_certificate(ssl);
    if (certificate == nullptr || SSL_get_peer_signature_type_nid(ssl, &type) != 1) return "";
    EVP_PKEY* key = X509_get0_pubkey(certificate);
    if (key == nullptr) return "";
    switch (type) {
        case EVP_PKEY_RSA_PSS:
            return fmt::format("RSA-PSS ({} bits)", EVP_PKEY_get_bits(key));
        case EVP_PKEY_RSA:
            return fmt::format("RSA ({} bits)", EVP_PKEY_get_bits(key));
        case EVP_PKEY_EC:
            return fmt::format("ECDSA ({})", curve_of(key));
        default:
            return OBJ_nid2sn(type);
    }
}

}  // namespace

void describe(SSL* ssl, Session& session) {
    session.resumed = SSL_session_reused(ssl) == 1;
    session.protocol = SSL_get_version(ssl);
    const SSL_CIPHER* cipher = SSL_get_current_cipher(ssl);
    session.cipher = SSL_CIPHER_get_name(cipher);
    session.cipher_bits = SSL_CIPHER_get_bits(cipher, &session.cipher_algorithm_bits);
    if (SSL_version(ssl) >= TLS1_3_VERSION) {
        session.key_exchange = key_exchange_of(ssl);
        int digest = 0;
        if (!session.resumed && SSL_is_server(ssl) == 0) {
            session.server_signature = signature_of(ssl);
            const bool known = SSL_get_peer_signature_nid(ssl, &digest) == 1 && digest != 0;
            if (known) session.server_digest = OBJ_nid2sn(digest);
        }
    }
    const char* requested = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
    if (SSL_is_server(ssl) == 1 && requested != nullptr) session.requested_name = requested;
    ERR_clear_error();
}

std::string description(const Session& session) {
    std::string text =
        fmt::format("{} with cipher {} ({}/{} bits)", session.protocol, session.cipher,
                    session.cipher_bits, session.cipher_algorithm_bits);
    if (!session.key_exchange.empty()) text += " key-exchange " + session.key_exchange;
    if (!session.server_signature.empty()) text += " server-signature " + session.server_signature;
    if (!session.server_digest.empty()) text += " server-digest " + session.server_digest;
    return text;
}

std::string_view to_string(Trust trust) {
    switch (trust) {
        case Trust::Anonymous:
            return "Anonymous";
        case Trust::Untrusted:
            return "Untrusted";
        case Trust::Trusted:
            return "Trusted";
        case Trust::Verified:
            return "Verified";
    }
    return "";
}

}  // namespace postrider::tls
