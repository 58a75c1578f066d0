#include "tls/test_world.h"

#include <cstring>

#include <openssl/ec.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>

#include "net/event.h"

namespace postrider::tls::test {
namespace {

std::string text_of(const Bio& bio) {
    char* bytes = nullptr;
    const long size = BIO_get_mem_data(bio.get(), &bytes);
    return {bytes, static_cast<std::size_t>(size)};
}

void extend(X509* certificate, X509* issuer, int nid, const std::string& value) {
    X509V3_CTX context = {};
    X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
    X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, &context, nid, value.c_str());
    POSTRIDER_CHECK(extension != nullptr);
    X509_add_ext(certificate, extension, -1);
    X509_EXTENSION_free(extension);
}

// Built piece by piece, because a text could not hold a NUL.
void add_names(X509* certificate, const Wanted& wanted) {
    if (wanted.dns_names.empty() && wanted.addresses.empty()) return;
    GENERAL_NAMES* names = sk_GENERAL_NAME_new_null();
    for (const auto& name : wanted.dns_names) {
        GENERAL_NAME* entry = GENERAL_NAME_new();
        ASN1_IA5STRING* text = ASN1_IA5STRING_new();
        ASN1_STRING_set(text, name.data(), static_cast<int>(name.size()));
        GENERAL_NAME_set0_value(entry, GEN_DNS, text);
        sk_GENERAL_NAME_push(names, entry);
    }
    for (const auto& address : wanted.addresses) {
        GENERAL_NAME* entry = GENERAL_NAME_new();
        GENERAL_NAME_set0_value(entry, GEN_IPADD, a2i_IPADDRESS(address.c_str()));
        sk_GENERAL_NAME_push(names, entry);
    }
    X509_add1_ext_i2d(certificate, NID_subject_alt_name, names, 0, 0);
    GENERAL_NAMES_free(names);
}

struct Pipe {
    explicit Pipe(const boost::asio::any_io_executor& executor) : changed(executor) {}

    std::string bytes;
    std::size_t taken = 0;
    bool closed = false;
    net::Event changed;
};

class End final : public net::Stream {
public:
    End(std::shared_ptr<Pipe> in, std::shared_ptr<Pipe> out, std::size_t piece)
        : in_(std::move(in)), out_(std::move(out)), piece_(piece) {}
    ~End() override { close(); }

    net::Awaitable<Result<std::size_t>> read_some(std::span<char> into,
                                                  MonotonicTime deadline) override {
        const auto in = in_;
        while (in->taken == in->bytes.size()) {
            if (in->closed) co_return std::size_t(0);
            in->changed.reset();
            auto change = co_await in->changed.wait(deadline);
            if (!change) co_return Unexpected(std::move(change).error());
        }
        const std::size_t count = std::min({into.size(), piece_, in->bytes.size() - in->taken});
        std::memcpy(into.data(), in->bytes.data() + in->taken, count);
        in->taken += count;
        if (in->taken == in->bytes.size()) {
            in->bytes.clear();
            in->taken = 0;
        }
        co_return count;
    }
    net::Awaitable<Result<void>> write(std::span<const boost::asio::const_buffer> buffers,
                                       MonotonicTime) override {
        if (out_->closed) co_return Unexpected(ErrorCode::Connection, "write: Broken pipe");
        for (const auto& buffer : buffers) {
            out_->bytes.append(static_cast<const char*>(buffer.data()), buffer.size());
        }
        out_->changed.set();
        co_return Result<void>();
    }
    void cancel() override {}
    void close() override {
        out_->closed = true;
        out_->changed.set();
        in_->closed = true;
        in_->changed.set();
    }

private:
    std::shared_ptr<Pipe> in_;
    std::shared_ptr<Pipe> out_;
    std::size_t piece_;
};

}  // namespace

Issued Issued::make(const Wanted& wanted, const Issued* issuer, const Issued* key_of) {
    static long serial = 1;
    Issued issued;
    if (key_of != nullptr) {
        issued.key_.reset(key_of->key_.get());
        EVP_PKEY_up_ref(issued.key_.get());
    } else {
        issued.key_.reset(wanted.rsa_bits > 0 ? EVP_RSA_gen(static_cast<unsigned>(wanted.rsa_bits))
                                              : EVP_EC_gen("P-256"));
    }
    issued.certificate_.reset(X509_new());
    X509* certificate = issued.certificate_.get();
    X509* above = issuer ? issuer->certificate_.get() : certificate;
    X509_set_version(certificate, X509_VERSION_3);
    ASN1_INTEGER_set(X509_get_serialNumber(certificate), ++serial);
    X509_gmtime_adj(X509_getm_notBefore(certificate), 86400L * wanted.from_days);
    X509_gmtime_adj(X509_getm_notAfter(certificate), 86400L * wanted.to_days);
    X509_NAME* name = X509_get_subject_name(certificate);
    X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8,
                               reinterpret_cast<const unsigned char*>(wanted.common_name.c_str()),
                               -1, -1, 0);
    X509_set_issuer_name(certificate, X509_get_subject_name(above));
    X509_set_pubkey(certificate, issued.key_.get());
    extend(certificate, above, NID_basic_constraints,
           wanted.authority ? "critical,CA:TRUE" : "CA:FALSE");
    // They tell apart authorities of one name.
    extend(certificate, above, NID_subject_key_identifier, "hash");
    extend(certificate, above, NID_authority_key_identifier, "keyid");
    if (!wanted.usage.empty()) extend(certificate, above, NID_ext_key_usage, wanted.usage);
    add_names(certificate, wanted);
    X509_sign(certificate, (issuer ? issuer->key_ : issued.key_).get(), EVP_sha256());
    return issued;
}

std::string Issued::certificate_pem() const {
    const Bio bio(BIO_new(BIO_s_mem()));
    PEM_write_bio_X509(bio.get(), certificate_.get());
    return text_of(bio);
}

std::string Issued::key_pem() const {
    const Bio bio(BIO_new(BIO_s_mem()));
    PEM_write_bio_PrivateKey(bio.get(), key_.get(), nullptr, nullptr, 0, nullptr, nullptr);
    return text_of(bio);
}

std::pair<std::unique_ptr<net::Stream>, std::unique_ptr<net::Stream>> pipe(
    boost::asio::any_io_executor executor, std::size_t piece) {
    auto there = std::make_shared<Pipe>(executor);
    auto back = std::make_shared<Pipe>(executor);
    return {std::make_unique<End>(back, there, piece), std::make_unique<End>(there, back, piece)};
}

}  // namespace postrider::tls::test
