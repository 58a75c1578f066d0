// Messages as lines of JSON, for the operator's tools.
#pragma once

#include <string>
#include <string_view>

#include "core/result.h"
#include "queue/message.h"

namespace postrider::control {

/// `{"message": {...}}`. Bytes that are not UTF-8 become U+FFFD.
std::string message_line(const queue::ListedMessage&);

/// Reads the value of "message" back. Tools trust the daemon's answer no further than this.
Result<queue::ListedMessage> parse_message(std::string_view json);

/// The names the tools print: incoming, active, deferred, hold, dead.
std::string_view name_of(queue::ListedMessage::Place);

}  // namespace postrider::control
