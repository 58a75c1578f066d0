#include "tls/openssl.h"

#include <openssl/err.h>
#include <openssl/pem.h>

#include "tls/policy.h"

namespace postrider::tls {
namespace {

Bio reading(const std::string& text) {
    return Bio(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
}

// Nobody is there to type a passphrase.
int no_passphrase(char*, int, int, void*) {
    return -1;
}

}  // namespace

std::vector<std::string> take_library_errors() {
    std::vector<std::string> texts;
    const char* file = nullptr;
    const char* function = nullptr;
    const char* details = nullptr;
    int line = 0;
    int flags = 0;
    while (const auto code = ERR_get_error_all(&file, &line, &function, &details, &flags)) {
        char text[256];
        ERR_error_string_n(code, text, sizeof text);
        std::string entry(text);
        entry.append(":").append(file).append(":").append(std::to_string(line)).append(":");
        if ((flags & ERR_TXT_STRING) != 0) entry.append(details);
        texts.push_back(std::move(entry));
    }
    return texts;
}

std::string library_error(std::string otherwise) {
    const auto code = ERR_peek_error();
    const char* reason = code == 0 ? nullptr : ERR_reason_error_string(code);
    ERR_clear_error();
    return reason == nullptr ? otherwise : reason;
}

void set_protocols(SSL_CTX* context, unsigned allowed) {
    std::uint64_t off = SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION;
    if ((allowed & Protocols::kSsl3) == 0) off |= SSL_OP_NO_SSLv3;
    if ((allowed & Protocols::kTls10) == 0) off |= SSL_OP_NO_TLSv1;
    if ((allowed & Protocols::kTls11) == 0) off |= SSL_OP_NO_TLSv1_1;
    if ((allowed & Protocols::kTls12) == 0) off |= SSL_OP_NO_TLSv1_2;
    if ((allowed & Protocols::kTls13) == 0) off |= SSL_OP_NO_TLSv1_3;
    // The list rules, not the system's openssl.cnf.
    SSL_CTX_set_min_proto_version(context, 0);
    SSL_CTX_set_max_proto_version(context, 0);
    SSL_CTX_set_options(context, off);
}

bool set_identity(SSL_CTX* context, const std::string& chain, const std::string& key,
                  std::string& error) {
    const Bio certificates = reading(chain);
    const Certificate leaf(
        PEM_read_bio_X509_AUX(certificates.get(), nullptr, no_passphrase, nullptr));
    if (!leaf || SSL_CTX_use_certificate(context, leaf.get()) != 1) {
        error = "certificate: " + library_error("not usable");
        return false;
    }
    while (X509* above = PEM_read_bio_X509(certificates.get(), nullptr, no_passphrase, nullptr)) {
        if (SSL_CTX_add0_chain_cert(context, above) != 1) {
            X509_free(above);
            error = "certificate chain: " + library_error("not usable");
            return false;
        }
    }
    ERR_clear_error();
    const Bio secret = reading(key);
    const PrivateKey private_key(
        PEM_read_bio_PrivateKey(secret.get(), nullptr, no_passphrase, nullptr));
    if (!private_key || SSL_CTX_use_PrivateKey(context, private_key.get()) != 1 ||
        SSL_CTX_check_private_key(context) != 1) {
        error = "private key: " + library_error("not usable");
        return false;
    }
    return true;
}

}  // namespace postrider::tls
