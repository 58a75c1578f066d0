// What `postrider status` shows of delivery.
#pragma once

#include <string>
#include <vector>

#include "delivery/courier.h"

namespace postrider::daemon {

/// {"destinations": [{"name": "[smtp.gmail.com]:465", "sent": 4, ...}],
///  "accounts": [{"name": "me@gmail.com via [smtp.gmail.com]:465", "state": "login-refused", ...}]}
/// with the accounts that are in trouble; and the dangerous settings that are in use, as texts.
std::string status_json(const delivery::Courier&, const std::vector<std::string>& dangers);

}  // namespace postrider::daemon
