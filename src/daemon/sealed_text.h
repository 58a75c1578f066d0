// A text that this process can hand on and does not have in its memory.
#pragma once

#include <string>
#include <string_view>

#include "core/result.h"
#include "core/unique_fd.h"

namespace postrider::daemon {

/// Puts `text` into a nameless file of the kernel's, which nobody can change any more.
Result<UniqueFd> seal_text(std::string_view text);

/// What was put there; as often as wanted, in any process that has the descriptor.
Result<std::string> read_sealed_text(int descriptor);

}  // namespace postrider::daemon
