// For tests: certificates made on the spot, and two streams that end in each other.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <boost/asio/any_io_executor.hpp>

#include "net/stream.h"
#include "tls/openssl.h"

namespace postrider::tls::test {

/// What a certificate shall be like.
struct Wanted {
    std::string common_name = "smtp.example.org";
    std::vector<std::string> dns_names = {"smtp.example.org"};
    std::vector<std::string> addresses;
    int from_days = -1;
    int to_days = 30;
    bool authority = false;
    std::string usage;  ///< extended key usage, as in openssl.cnf
    int rsa_bits = 0;   ///< 0: an elliptic curve
};

/// A certificate and its key.
class Issued {
public:
    /// Signed by `issuer`, or by itself if there is none. With a new key unless `key_of` has one.
    static Issued make(const Wanted&, const Issued* issuer = nullptr,
                       const Issued* key_of = nullptr);

    std::string certificate_pem() const;
    std::string key_pem() const;
    X509* certificate() const { return certificate_.get(); }

private:
    PrivateKey key_;
    Certificate certificate_;
};

/// Two ends of one pipe in memory. What arrives comes in pieces of at most `piece` bytes.
std::pair<std::unique_ptr<net::Stream>, std::unique_ptr<net::Stream>> pipe(
    boost::asio::any_io_executor, std::size_t piece = 100'000);

}  // namespace postrider::tls::test
