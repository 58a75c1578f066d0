// Gives back code that is not being used.
#pragma once

namespace postrider {

/// Takes the code and constants of the program and its libraries out of this process's memory. What
/// is used comes back from the kernel's cache at the first touch, sixteen pages at a time; what
/// only the start used, or work that is over, does not. Memory that was written to, relocations
/// too, stays. For moments with nothing to do: from any thread, some 0.1 ms.
void forget_code_pages();

}  // namespace postrider
