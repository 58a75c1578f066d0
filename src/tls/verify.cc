#include "tls/verify.h"

#include <algorithm>

#include <fmt/format.h>
#include <openssl/err.h>
#include <openssl/x509_vfy.h>
#include <openssl/x509v3.h>

#include "core/ascii.h"
#include "net/endpoint.h"
#include "tls/connection.h"

namespace postrider::tls {
namespace {

std::string one_line(const X509_NAME* name) {
    char text[512] = "<unknown>";
    if (name != nullptr) X509_NAME_oneline(name, text, sizeof text);
    return text;
}

std::string entry_of(const X509_NAME* name, int nid) {
    const int at = X509_NAME_get_index_by_NID(name, nid, -1);
    if (at < 0) return "";
    unsigned char* utf8 = nullptr;
    const int size =
        ASN1_STRING_to_UTF8(&utf8, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(name, at)));
    if (size < 0) return "";
    std::string text(reinterpret_cast<char*>(utf8), static_cast<std::size_t>(size));
    OPENSSL_free(utf8);
    return printable(text);
}

std::string issuer_of(const X509* certificate) {
    const X509_NAME* name = X509_get_issuer_name(certificate);
    const std::string common_name = entry_of(name, NID_commonName);
    return common_name.empty() ? entry_of(name, NID_organizationName) : common_name;
}

std::string hexadecimal(const unsigned char* bytes, unsigned size) {
    std::string text;
    for (unsigned i = 0; i < size; ++i) text += fmt::format("{}{:02X}", i > 0 ? ":" : "", bytes[i]);
    return text;
}

// Of two errors the one nearer to the leaf counts; of two at one depth the first.
void note_error(ChainCheck& check, int error, int depth, X509* certificate) {
    if (check.depth >= 0 && check.depth <= depth) return;
    check.error = error;
    check.depth = depth;
    if (certificate != nullptr) X509_up_ref(certificate);
    check.certificate.reset(certificate);
}

ChainCheck* check_of(X509_STORE_CTX* context) {
    const auto* ssl = static_cast<const SSL*>(
        X509_STORE_CTX_get_ex_data(context, SSL_get_ex_data_X509_STORE_CTX_idx()));
    return static_cast<ChainCheck*>(Connection::of(ssl).handshake_state);
}

int on_certificate(int ok, X509_STORE_CTX* context) {
    ChainCheck& check = *check_of(context);
    X509* certificate = X509_STORE_CTX_get_current_cert(context);
    const int depth = X509_STORE_CTX_get_error_depth(context);
    if (depth > check.depth_max) {
        note_error(check, X509_V_ERR_CERT_CHAIN_TOO_LONG, depth, certificate);
        return 1;
    }
    if (ok == 0) note_error(check, X509_STORE_CTX_get_error(context), depth, certificate);
    if (check.log != nullptr) {
        const bool good = depth == 0 ? check.error == X509_V_OK : ok != 0;
        check.log->info(fmt::format(
            "{}: depth={} verify={} subject={}", check.peer, depth, good ? 1 : 0,
            one_line(certificate == nullptr ? nullptr : X509_get_subject_name(certificate))));
    }
    return 1;
}

std::string failure_text(const ChainCheck& check, int error) {
    const char* whose = check.depth > 0 ? "CA" : "server";
    const auto certificate = [&](std::string_view why) {
        return fmt::format("certificate verification failed for {}: {}", check.peer, why);
    };
    switch (error) {
        case X509_V_ERR_CERT_UNTRUSTED:
            return certificate("not trusted by local or TLSA policy");
        case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
            return certificate("self-signed certificate");
        case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
        case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
        case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
        case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
            return certificate("untrusted issuer " +
                               one_line(check.certificate
                                            ? X509_get_issuer_name(check.certificate.get())
                                            : nullptr));
        case X509_V_ERR_CERT_NOT_YET_VALID:
        case X509_V_ERR_ERROR_IN_CERT_NOT_BEFORE_FIELD:
            return fmt::format("{} {}", whose, certificate("certificate not yet valid"));
        case X509_V_ERR_CERT_HAS_EXPIRED:
        case X509_V_ERR_ERROR_IN_CERT_NOT_AFTER_FIELD:
            return fmt::format("{} {}", whose, certificate("certificate has expired"));
        case X509_V_ERR_INVALID_PURPOSE:
            return certificate(fmt::format("not designated for use as a {} certificate", whose));
        case X509_V_ERR_CERT_CHAIN_TOO_LONG:
            return certificate(
                fmt::format("certificate chain longer than limit({})", check.depth_max));
        default:
            return fmt::format(
                "{} {}", whose,
                certificate(fmt::format("num={}:{}", error, X509_verify_cert_error_string(error))));
    }
}

std::string normalized(std::string_view fingerprint) {
    std::string text = ascii_uppercase(fingerprint);
    std::erase(text, ':');
    return text;
}

bool fingerprint_matches(const X509* certificate, const Policy& policy) {
    const auto own = normalized(certificate_fingerprint(certificate, policy.fingerprint_digest));
    const auto key = normalized(public_key_fingerprint(certificate, policy.fingerprint_digest));
    if (own.empty() || key.empty()) return false;
    return std::any_of(policy.fingerprints.begin(), policy.fingerprints.end(),
                       [&](const std::string& listed) {
                           const std::string wanted = normalized(listed);
                           return wanted == own || wanted == key;
                       });
}

std::string name_for(const std::string& strategy, const Peer& peer) {
    if (equals_ignoring_case(strategy, "hostname")) return peer.host;
    if (equals_ignoring_case(strategy, "nexthop")) return peer.nexthop;
    if (equals_ignoring_case(strategy, "dot-nexthop")) return "." + peer.nexthop;
    return strategy;
}

std::string matching_strategy(X509* certificate, const Policy& policy, const Peer& peer) {
    for (const auto& strategy : policy.match) {
        std::string matched = matching_name(certificate, name_for(strategy, peer));
        if (!matched.empty()) return matched;
    }
    return "";
}

void log_certificate(const X509* certificate, const Policy& policy, const Peer& peer,
                     const Log& log) {
    log.info(fmt::format("{}: subject_CN={}, issuer_CN={}, fingerprint={}, pkey_fingerprint={}",
                         peer.text(), entry_of(X509_get_subject_name(certificate), NID_commonName),
                         issuer_of(certificate),
                         certificate_fingerprint(certificate, policy.fingerprint_digest),
                         public_key_fingerprint(certificate, policy.fingerprint_digest)));
}

// Says why the chain is not trusted. What a resumed session lacks was said when it was new.
void log_chain_failure(const ChainCheck& check, long result, bool resumed, const Log& log) {
    if (result == X509_V_OK) return;
    if (!resumed) return log.info(failure_text(check, static_cast<int>(result)));
    log.info(check.peer +
             ": re-using session with untrusted certificate, look for details earlier in the log");
}

}  // namespace

int check_chain(X509_STORE_CTX* context, void*) {
    ChainCheck& check = *check_of(context);
    X509_STORE_CTX_set_verify_cb(context, on_certificate);
    const int result = X509_verify_cert(context);
    // A failure that reached no callback is a failure all the same.
    if (result != 1 && check.error == X509_V_OK) {
        const int error = X509_STORE_CTX_get_error(context);
        check.error = error == X509_V_OK ? X509_V_ERR_UNSPECIFIED : error;
        check.depth = std::max(0, X509_STORE_CTX_get_error_depth(context));
    }
    X509_STORE_CTX_set_error(context, check.error);
    ERR_clear_error();
    return 1;
}

Judgement judge(SSL* ssl, const ChainCheck& check, const Policy& policy, const Peer& peer,
                int log_level, const Log& log) {
    Judgement judgement;
    X509* certificate = SSL_get0_peer_certificate(ssl);
    if (certificate == nullptr) {
        judgement.trust = Trust::Anonymous;
        judgement.satisfies = !demands_match(policy.level);
        return judgement;
    }
    // Of a resumed session this is the result of the handshake that created it.
    const long result = SSL_get_verify_result(ssl);
    const bool trusted = result == X509_V_OK && check.error == X509_V_OK;
    if (trusted) judgement.trust = Trust::Trusted;

    if (policy.level == Level::Fingerprint) {
        judgement.satisfies = fingerprint_matches(certificate, policy);
        if (judgement.satisfies) judgement.trust = Trust::Verified;
    } else if (demands_name(policy.level)) {
        const bool resumed = SSL_session_reused(ssl) == 1;
        log_chain_failure(check, trusted ? X509_V_OK : std::max<long>(result, 1), resumed, log);
        if (trusted) judgement.matched_name = matching_strategy(certificate, policy, peer);
        judgement.satisfies = !judgement.matched_name.empty();
        judgement.trust = judgement.satisfies ? Trust::Verified : Trust::Untrusted;
        if (trusted && !judgement.satisfies) {
            log.info(failure_text(check, X509_V_ERR_HOSTNAME_MISMATCH));
        }
        if (judgement.satisfies && log_level >= 2) {
            log.info(peer.text() + ": matched peername: " + judgement.matched_name);
        }
    } else {
        judgement.satisfies = true;
    }
    if (log_level >= 2) log_certificate(certificate, policy, peer, log);
    return judgement;
}

std::string matching_name(X509* certificate, std::string_view name) {
    if (name.size() > 1 && name.ends_with('.')) name.remove_suffix(1);
    // OpenSSL takes an empty name for "any", and so do we never ask it. A name with a NUL or
    // beyond ASCII is nobody's host name.
    if (name.empty() || name == "." || name.find('\0') != name.npos || !is_ascii(name)) return "";
    if (net::parse_ip_literal(name)) return "";
    char* matched = nullptr;
    const unsigned flags =
        X509_CHECK_FLAG_NEVER_CHECK_SUBJECT | X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS;
    const int result = X509_check_host(certificate, name.data(), name.size(), flags, &matched);
    std::string text = result == 1 && matched != nullptr ? printable(matched) : "";
    OPENSSL_free(matched);
    return text;
}

std::string certificate_fingerprint(const X509* certificate, const std::string& digest) {
    const EVP_MD* algorithm = EVP_get_digestbyname(digest.c_str());
    unsigned char bytes[EVP_MAX_MD_SIZE];
    unsigned size = 0;
    if (algorithm == nullptr || X509_digest(certificate, algorithm, bytes, &size) != 1) return "";
    return hexadecimal(bytes, size);
}

std::string public_key_fingerprint(const X509* certificate, const std::string& digest) {
    const EVP_MD* algorithm = EVP_get_digestbyname(digest.c_str());
    unsigned char* encoded = nullptr;
    const int length = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(certificate), &encoded);
    unsigned char bytes[EVP_MAX_MD_SIZE];
    unsigned size = 0;
    const bool done = algorithm != nullptr && length > 0 &&
                      EVP_Digest(encoded, static_cast<std::size_t>(length), bytes, &size, algorithm,
                                 nullptr) == 1;
    OPENSSL_free(encoded);
    return done ? hexadecimal(bytes, size) : "";
}

}  // namespace postrider::tls
