// The Received: field that we put at the top of each message.
#pragma once

#include <string>
#include <string_view>

#include "message/cleanup.h"

namespace postrider::message {

/// `Received: from HELO (NAME [ADDR])` and its kin, lines parted by LF. Text from outside is made
/// printable, and what would end a comment or the field is not let through.
std::string received_field(const Submission& submission, std::string_view myhostname,
                           std::string_view mail_name);

/// Whether the value of a Received: field is one that a host of this name wrote, folded anyhow.
bool is_stamp_of(std::string_view myhostname, std::string_view mail_name, std::string_view value);

}  // namespace postrider::message
