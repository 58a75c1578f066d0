// XOAUTH2 and OAUTHBEARER (RFC 7628): an access token in place of a password.
#pragma once

#include <memory>

#include "sasl/mechanism.h"

namespace postrider::sasl {

/// Both say all at once. To a refusal, which comes as a challenge with a description, they give
/// the empty answer their specifications ask for; the final reply tells the rest.
std::unique_ptr<Mechanism> make_xoauth2(const Credentials&);
std::unique_ptr<Mechanism> make_oauthbearer(const Credentials&);

}  // namespace postrider::sasl
