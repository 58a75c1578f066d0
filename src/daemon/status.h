// What `postrider status` shows of delivery.
#pragma once

#include <string>
#include <vector>

#include "delivery/courier.h"

namespace postrider::daemon {

/// {"destinations": [{"name": "[smtp.gmail.com]:465", "state": "ready", ...}]}
std::string status_json(const std::vector<delivery::DestinationStatus>&);

}  // namespace postrider::daemon
