// Reading a file that somebody may be writing: half of what was meant is no more than a mistake.
#pragma once

namespace postrider {

/// False if a process has the file open for writing. Otherwise nobody gets it open for writing, or
/// cuts it, before `fd` is closed: whoever tries waits. So close it soon. The kernel grants this to
/// the file's owner and to root alone; where it does not, true, and nothing is kept off. `fd` is
/// open for reading.
bool keep_writers_off(int fd);

}  // namespace postrider
