#include "core/settled_file.h"

#include <cerrno>

#include <fcntl.h>
#include <signal.h>

namespace postrider {

bool keep_writers_off(int fd) {
    // Whoever holds a lease is sent a signal when a writer comes: one that is ignored by default.
    if (::fcntl(fd, F_SETSIG, SIGURG) != 0) return true;
    return ::fcntl(fd, F_SETLEASE, F_RDLCK) == 0 || errno != EAGAIN;
}

}  // namespace postrider
