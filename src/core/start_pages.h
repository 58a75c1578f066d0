// Gives back what only the start of a process needed of its code.
#pragma once

namespace postrider {

/// Takes the code and constants of the program and its libraries out of this process's memory. What
/// is used comes back from the kernel's cache at the first touch, what only the start used does
/// not. Memory that was written to, relocations too, stays. To be called when the start is over.
void forget_start_pages();

}  // namespace postrider
