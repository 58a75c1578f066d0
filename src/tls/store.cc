#include "tls/store.h"

#include <map>

#include <openssl/asn1.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509_vfy.h>

namespace postrider::tls {
namespace {

using Name = std::unique_ptr<X509_NAME, Freed<X509_NAME_free>>;
// Certificates (DER) by the hash of their subject, and otherwise in the order of the text.
using Authorities = std::multimap<unsigned long, std::string>;

// Of the canonical form, so that names which X509_NAME_cmp() takes for equal have equal hashes.
// Where the library cannot say, all of them have the same.
unsigned long hash_of(const X509_NAME* name) {
    return X509_NAME_hash_ex(name, nullptr, nullptr, nullptr);
}

enum class Step { Into, Over };

bool advance(const unsigned char*& at, const unsigned char* end, Step step) {
    constexpr int kIndefinite = 0x01;
    constexpr int kMalformed = 0x80;
    const unsigned char* content = at;
    long size = 0;
    int tag = 0;
    int kind = 0;
    const int form = ASN1_get_object(&content, &size, &tag, &kind, end - at);
    if ((form & (kIndefinite | kMalformed)) != 0) return false;
    at = step == Step::Into ? content : content + size;
    return true;
}

// RFC 5280 4.1: SEQUENCE { SEQUENCE { [0] version OPTIONAL, serial number, signature, issuer,
// validity, subject, ... Steps over the rest, because decoding the key takes most of the time that
// the whole certificate would take.
Name subject_of(const std::string& der) {
    constexpr unsigned char kVersionTag = 0xa0;
    const auto* at = reinterpret_cast<const unsigned char*>(der.data());
    const auto* const end = at + der.size();
    bool good = advance(at, end, Step::Into) && advance(at, end, Step::Into);
    if (good && at < end && *at == kVersionTag) good = advance(at, end, Step::Over);
    for (int i = 0; good && i < 4; ++i) good = advance(at, end, Step::Over);
    return Name(good ? d2i_X509_NAME(nullptr, &at, end - at) : nullptr);
}

Certificate parse(const std::string& der) {
    const auto* at = reinterpret_cast<const unsigned char*>(der.data());
    return Certificate(d2i_X509_AUX(nullptr, &at, static_cast<long>(der.size())));
}

bool is_certificate(std::string_view label) {
    return label == PEM_STRING_X509 || label == PEM_STRING_X509_TRUSTED ||
           label == PEM_STRING_X509_OLD;
}

void add_once(Authorities& authorities, unsigned long hash, std::string der) {
    const auto [first, last] = authorities.equal_range(hash);
    for (auto known = first; known != last; ++known) {
        if (known->second == der) return;
    }
    authorities.emplace_hint(last, hash, std::move(der));
}

Result<Authorities> read_authorities(const std::string& pem) {
    Authorities authorities;
    const Bio text(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
    char* label = nullptr;
    char* header = nullptr;
    unsigned char* bytes = nullptr;
    long size = 0;
    bool good = true;
    ERR_clear_error();
    while (good && PEM_read_bio(text.get(), &label, &header, &bytes, &size) == 1) {
        if (is_certificate(label)) {
            std::string der(reinterpret_cast<char*>(bytes), static_cast<std::size_t>(size));
            const Name subject = subject_of(der);
            good = subject != nullptr;
            if (good) add_once(authorities, hash_of(subject.get()), std::move(der));
        }
        OPENSSL_free(label);
        OPENSSL_free(header);
        OPENSSL_free(bytes);
    }
    // The end of the text is an error like others.
    const auto error = ERR_peek_last_error();
    good = good && (error == 0 || ERR_GET_REASON(error) == PEM_R_NO_START_LINE);
    ERR_clear_error();
    if (!good) return Unexpected(ErrorCode::Invalid, "authorities: malformed certificate");
    return authorities;
}

// The store calls this for a subject of which it has nothing, and then looks at all it has with
// that subject: an expired certificate must not come without its successor.
int find_by_subject(X509_LOOKUP* lookup, X509_LOOKUP_TYPE type, const X509_NAME* subject,
                    X509_OBJECT* found) {
    if (type != X509_LU_X509) return 0;
    const auto& authorities = *static_cast<Authorities*>(X509_LOOKUP_get_method_data(lookup));
    X509_STORE* store = X509_LOOKUP_get_store(lookup);
    const auto [first, last] = authorities.equal_range(hash_of(subject));
    if (first == last) return 0;
    for (auto candidate = first; candidate != last; ++candidate) {
        const Certificate certificate = parse(candidate->second);
        if (certificate != nullptr) X509_STORE_add_cert(store, certificate.get());
    }
    X509_OBJECT* kept =
        X509_OBJECT_retrieve_by_subject(X509_STORE_get0_objects(store), X509_LU_X509, subject);
    if (kept == nullptr) return 0;
    X509* certificate = X509_OBJECT_get0_X509(kept);
    if (X509_OBJECT_set1_X509(found, certificate) != 1) return 0;
    // The caller expects to borrow the store's reference.
    X509_free(certificate);
    return 1;
}

void forget(X509_LOOKUP* lookup) {
    delete static_cast<Authorities*>(X509_LOOKUP_get_method_data(lookup));
}

X509_LOOKUP_METHOD* method() {
    static X509_LOOKUP_METHOD* const made = [] {
        X509_LOOKUP_METHOD* m = X509_LOOKUP_meth_new("authorities by subject");
        X509_LOOKUP_meth_set_get_by_subject(m, find_by_subject);
        X509_LOOKUP_meth_set_free(m, forget);
        return m;
    }();
    return made;
}

}  // namespace

Result<CertificateStore> open_store(const std::string& pem) {
    auto authorities = read_authorities(pem);
    if (!authorities) return Unexpected(std::move(authorities).error());
    CertificateStore store(X509_STORE_new());
    X509_LOOKUP* lookup = X509_STORE_add_lookup(store.get(), method());
    X509_LOOKUP_set_method_data(lookup, new Authorities(std::move(*authorities)));
    return store;
}

}  // namespace postrider::tls
