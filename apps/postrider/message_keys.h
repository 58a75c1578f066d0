// The lookup keys that a message gives: its logical headers and its body lines.
#pragma once

#include <functional>
#include <istream>
#include <string>

namespace postrider::apps {

struct MessageKeys {
    bool headers = false;
    bool body = false;
};

/// Calls `each` with every header as its lines stand, line ends inside it kept, and every line
/// behind the header section; until it returns false. Stops behind the headers when the body is
/// not wanted.
void for_each_message_key(std::istream& message, MessageKeys wanted,
                          const std::function<bool(const std::string& key)>& each);

}  // namespace postrider::apps
