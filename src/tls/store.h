// Trusted certificates, parsed only when a chain asks for them. Only for sources of this module.
#pragma once

#include <string>

#include "core/result.h"
#include "tls/openssl.h"

namespace postrider::tls {

/// A store that trusts the certificates of a PEM text, as if it had been filled with them. It keeps
/// their DER, found by the hash of their subject, and parses those of a subject together when a
/// chain first names it; parsed ones stay. What else the text holds is skipped.
/// ErrorCode::Invalid if something in it calls itself a certificate and is none.
Result<CertificateStore> open_store(const std::string& pem);

}  // namespace postrider::tls
