// A message's envelope and facts as bytes, for the channel between two processes of ours.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "core/result.h"
#include "queue/message.h"

namespace postrider::queue {

/// Little-endian numbers of fixed width; texts and lists preceded by their count (32 bits). Both
/// ends are the same program, so there is no version. The queue id is not sent: it follows from
/// number and time of creation.
void encode(const NewMessage&, std::string& into);

struct DecodeLimits {
    std::size_t recipients_max = 50000;
    bool long_queue_ids = false;
};

/// Reads what encode() wrote, all of it. Trusts nothing: Invalid for anything out of range, longer
/// than a text may be, with a control character in it, left over, or claimed to be a report of
/// ours. Takes memory and time in proportion to `bytes`.
Result<NewMessage> decode(std::string_view bytes, const DecodeLimits&);

}  // namespace postrider::queue
