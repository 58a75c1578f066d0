// What handling a secret leaves where nobody put it.
#pragma once

#include <cstddef>

namespace postrider {

/// How far below its caller wipe_traces() reaches: the master needs 16 KB for all that it does.
inline constexpr std::size_t kTracesDepth = 64 * 1024;

/// Overwrites the vector registers, by way of which texts are copied, and the stack below the
/// caller, onto which a signal or the dynamic linker's first call of a function puts them. Some
/// microseconds. To be called where the secret was handled by functions that have returned.
void wipe_traces();

}  // namespace postrider
