// PLAIN (RFC 4616) and LOGIN: the password as it is. Only over TLS, which is the caller's business.
#pragma once

#include <memory>

#include "sasl/mechanism.h"

namespace postrider::sasl {

std::unique_ptr<Mechanism> make_plain(const Credentials&);

/// LOGIN answers the first challenge with the user and the second with the password, whatever the
/// prompts say: servers disagree on them.
std::unique_ptr<Mechanism> make_login(const Credentials&);

}  // namespace postrider::sasl
