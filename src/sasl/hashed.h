// CRAM-MD5 (RFC 2195), SCRAM-SHA-1 (RFC 5802) and SCRAM-SHA-256 (RFC 7677): the password is
// proven, not sent. libgsasl does the work.
#pragma once

#include <cstdint>
#include <memory>

#include "sasl/mechanism.h"

namespace postrider::sasl {

/// A server decides how often the password is hashed; beyond this it wants to keep us busy.
inline constexpr std::uint64_t kScramIterationsMax = 1'000'000;

Result<std::unique_ptr<Mechanism>> make_cram_md5(const Credentials&);

/// The server proves that it knows the password, too; is_complete() only when that has succeeded.
Result<std::unique_ptr<Mechanism>> make_scram_sha1(const Credentials&);
Result<std::unique_ptr<Mechanism>> make_scram_sha256(const Credentials&);

}  // namespace postrider::sasl
