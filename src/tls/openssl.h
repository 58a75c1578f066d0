// Owners for OpenSSL's objects. Only for sources of this module.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include <openssl/bio.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

namespace postrider::tls {

template <auto Free>
struct Freed {
    template <typename T>
    void operator()(T* object) const {
        Free(object);
    }
};

using SslContext = std::unique_ptr<SSL_CTX, Freed<SSL_CTX_free>>;
using Ssl = std::unique_ptr<SSL, Freed<SSL_free>>;
using SslSession = std::unique_ptr<SSL_SESSION, Freed<SSL_SESSION_free>>;
using Certificate = std::unique_ptr<X509, Freed<X509_free>>;
using CertificateStore = std::unique_ptr<X509_STORE, Freed<X509_STORE_free>>;
using PrivateKey = std::unique_ptr<EVP_PKEY, Freed<EVP_PKEY_free>>;
using Bio = std::unique_ptr<BIO, Freed<BIO_free_all>>;

/// The errors OpenSSL has queued, oldest first, as it words them; the queue is empty afterwards.
std::vector<std::string> take_library_errors();
/// The first of them, or `otherwise`.
std::string library_error(std::string otherwise);

/// Versions, and what is never wanted: compression, renegotiation.
void set_protocols(SSL_CTX*, unsigned allowed);
/// Certificate chain and key, both PEM. The error says what does not fit.
bool set_identity(SSL_CTX*, const std::string& chain, const std::string& key, std::string& error);

}  // namespace postrider::tls
