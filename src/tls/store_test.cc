#include "tls/store.h"

#include <chrono>
#include <fstream>
#include <iostream>
#include <sstream>

#include <malloc.h>

#include <gtest/gtest.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509_vfy.h>

#include "tls/test_world.h"

namespace postrider::tls {
namespace {

using test::Issued;
using test::Wanted;

using StoreContext = std::unique_ptr<X509_STORE_CTX, Freed<X509_STORE_CTX_free>>;

struct FreeStack {
    void operator()(STACK_OF(X509) * stack) const { sk_X509_pop_free(stack, X509_free); }
};
using CertificateStack = std::unique_ptr<STACK_OF(X509), FreeStack>;

Wanted authority(const std::string& name) {
    Wanted wanted;
    wanted.common_name = name;
    wanted.dns_names = {};
    wanted.authority = true;
    return wanted;
}

// What open_store() saves us: every certificate parsed and in the store.
CertificateStore filled_store(const std::string& pem) {
    CertificateStore store(X509_STORE_new());
    const Bio text(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
    while (X509* next = PEM_read_bio_X509_AUX(text.get(), nullptr, nullptr, nullptr)) {
        const Certificate certificate(next);
        X509_STORE_add_cert(store.get(), certificate.get());
    }
    ERR_clear_error();
    return store;
}

int verdict(X509_STORE* store, X509* certificate) {
    const StoreContext context(X509_STORE_CTX_new());
    X509_STORE_CTX_init(context.get(), store, certificate, nullptr);
    X509_STORE_CTX_set_default(context.get(), "ssl_server");
    X509_verify_cert(context.get());
    ERR_clear_error();
    return X509_STORE_CTX_get_error(context.get());
}

int parsed(X509_STORE* store) {
    return sk_X509_OBJECT_num(X509_STORE_get0_objects(store));
}

// The verdict on a certificate, which is the same with a filled store.
int verdict(const std::string& trusted, const Issued& issued) {
    auto store = open_store(trusted);
    EXPECT_TRUE(store);
    if (!store) return -1;
    const int first = verdict(store->get(), issued.certificate());
    EXPECT_EQ(first, verdict(store->get(), issued.certificate())) << "the second time";
    EXPECT_EQ(first, verdict(filled_store(trusted).get(), issued.certificate()));
    return first;
}

TEST(Store, ParsesOnlyWhatAChainAsksFor) {
    const Issued root = Issued::make(authority("Root"));
    const Issued other = Issued::make(authority("Other"));
    const Issued another = Issued::make(authority("Another"));
    auto store =
        open_store(other.certificate_pem() + root.certificate_pem() + another.certificate_pem());
    ASSERT_TRUE(store);
    EXPECT_EQ(parsed(store->get()), 0);

    const Issued leaf = Issued::make(Wanted(), &root);
    EXPECT_EQ(verdict(store->get(), leaf.certificate()), X509_V_OK);
    EXPECT_EQ(parsed(store->get()), 1);
    EXPECT_EQ(verdict(store->get(), leaf.certificate()), X509_V_OK);
    EXPECT_EQ(parsed(store->get()), 1);
}

TEST(Store, KnowsNobodyElse) {
    const Issued root = Issued::make(authority("Root"));
    const Issued stranger = Issued::make(authority("Stranger"));
    const Issued namesake = Issued::make(authority("Root"));
    const std::string trusted = root.certificate_pem();

    EXPECT_EQ(verdict(trusted, Issued::make(Wanted(), &stranger)),
              X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY);
    EXPECT_EQ(verdict(trusted, Issued::make(Wanted(), &namesake)),
              X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY);
    EXPECT_EQ(verdict(trusted, Issued::make(Wanted())), X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT);
    EXPECT_EQ(verdict("", Issued::make(Wanted(), &root)),
              X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY);
}

TEST(Store, TellsAuthoritiesOfOneNameApart) {
    std::vector<Issued> roots;
    std::string trusted;
    for (int i = 0; i < 3; ++i) {
        roots.push_back(Issued::make(authority("Root")));
        trusted += roots.back().certificate_pem();
    }

    for (const Issued& root : roots) {
        EXPECT_EQ(verdict(trusted, Issued::make(Wanted(), &root)), X509_V_OK);
    }
}

TEST(Store, PrefersTheRenewedCertificateToTheExpired) {
    Wanted wanted = authority("Root");
    const Issued renewed = Issued::make(wanted);
    wanted.from_days = -20;
    wanted.to_days = -10;
    const Issued expired = Issued::make(wanted, nullptr, &renewed);
    const Issued leaf = Issued::make(Wanted(), &renewed);

    EXPECT_EQ(verdict(expired.certificate_pem() + renewed.certificate_pem(), leaf), X509_V_OK);
    EXPECT_EQ(verdict(renewed.certificate_pem() + expired.certificate_pem(), leaf), X509_V_OK);
    EXPECT_EQ(verdict(expired.certificate_pem(), leaf), X509_V_ERR_CERT_HAS_EXPIRED);
}

TEST(Store, ComparesNamesAsX509Does) {
    const Issued root = Issued::make(authority("Test Root"));
    const Issued shouting = Issued::make(authority("TEST   root"), nullptr, &root);

    EXPECT_EQ(verdict(root.certificate_pem(), Issued::make(Wanted(), &shouting)), X509_V_OK);
}

TEST(Store, HeedsTheLimitsOfATrustedCertificate) {
    const Issued root = Issued::make(authority("Root"));
    const Issued leaf = Issued::make(Wanted(), &root);
    const auto limited = [&](int usage) {
        const Certificate copy(X509_dup(root.certificate()));
        X509_add1_reject_object(copy.get(), OBJ_nid2obj(usage));
        const Bio bio(BIO_new(BIO_s_mem()));
        PEM_write_bio_X509_AUX(bio.get(), copy.get());
        char* bytes = nullptr;
        const long size = BIO_get_mem_data(bio.get(), &bytes);
        return std::string(bytes, static_cast<std::size_t>(size));
    };

    EXPECT_EQ(verdict(limited(NID_email_protect), leaf), X509_V_OK);
    EXPECT_EQ(verdict(limited(NID_server_auth), leaf), X509_V_ERR_CERT_REJECTED);
}

TEST(Store, SkipsWhatIsNoCertificate) {
    const Issued root = Issued::make(authority("Root"));
    const std::string text = "# Root\n" + root.key_pem() + "\n\n" + root.certificate_pem() + "bye";

    EXPECT_EQ(verdict(text, Issued::make(Wanted(), &root)), X509_V_OK);
    EXPECT_TRUE(open_store("no certificate at all"));
    EXPECT_TRUE(open_store("-----BEGIN CERTIFICATE"));
}

TEST(Store, RefusesDamage) {
    const std::string good = Issued::make(authority("Root")).certificate_pem();
    const std::string half = good.substr(0, good.size() / 2);
    for (const std::string& bad :
         {half, good + half,
          std::string("-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"),
          std::string("-----BEGIN CERTIFICATE-----\nMAAA\n-----END CERTIFICATE-----\n"),
          std::string("-----BEGIN CERTIFICATE-----\n!!!!\n-----END CERTIFICATE-----\n")}) {
        auto opened = open_store(bad);
        ASSERT_FALSE(opened) << bad;
        EXPECT_EQ(opened.error().code, ErrorCode::Invalid);
    }
}

std::string system_bundle() {
    std::ifstream file("/etc/ssl/certs/ca-certificates.crt");
    std::ostringstream text;
    text << file.rdbuf();
    return text.str();
}

TEST(Store, AgreesWithAFilledStoreOnTheSystemsAuthorities) {
    const std::string pem = system_bundle();
    if (pem.empty()) GTEST_SKIP() << "no bundle";
    const CertificateStore filled = filled_store(pem);
    auto store = open_store(pem);
    ASSERT_TRUE(store);
    const StoreContext context(X509_STORE_CTX_new());
    X509_STORE_CTX_init(context.get(), store->get(), nullptr, nullptr);

    const CertificateStack all(X509_STORE_get1_all_certs(filled.get()));
    for (int i = 0; i < sk_X509_num(all.get()); ++i) {
        X509* certificate = sk_X509_value(all.get(), i);
        EXPECT_EQ(verdict(store->get(), certificate), verdict(filled.get(), certificate)) << i;
        X509_OBJECT* found = X509_STORE_CTX_get_obj_by_subject(context.get(), X509_LU_X509,
                                                               X509_get_subject_name(certificate));
        EXPECT_NE(found, nullptr) << i;
        X509_OBJECT_free(found);
    }
    EXPECT_EQ(parsed(store->get()), sk_X509_num(all.get()));
}

long resident_kilobytes() {
    ::malloc_trim(0);
    std::ifstream status("/proc/self/status");
    for (std::string word; status >> word;) {
        if (word == "VmRSS:" && status >> word) return std::stol(word);
    }
    return 0;
}

// Not a check but a measurement; run with --gtest_also_run_disabled_tests.
TEST(Store, DISABLED_Measure) {
    std::string pem = system_bundle();
    (void)filled_store(pem);  // what is set up once
    const auto measured = [](const char* what, auto action) {
        const long memory = resident_kilobytes();
        const auto begin = std::chrono::steady_clock::now();
        const auto store = action();
        const std::chrono::duration<double, std::milli> took =
            std::chrono::steady_clock::now() - begin;
        std::cout << what << ": " << took.count() << " ms, " << resident_kilobytes() - memory
                  << " KB\n";
    };
    for (int i = 0; i < 3; ++i) {
        measured("filled store", [&] { return filled_store(pem); });
        measured("open_store", [&] { return open_store(pem); });
    }
}

}  // namespace
}  // namespace postrider::tls
