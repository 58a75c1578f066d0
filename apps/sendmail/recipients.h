// Whether a message's header names recipients, for -t without a daemon to ask.
#pragma once

#include <string_view>

namespace postrider::apps {

/// Looks for an address in To, Cc, Bcc and their Resent- kind of the header that `text` begins
/// with. Linear in the header.
bool names_recipients(std::string_view text);

}  // namespace postrider::apps
