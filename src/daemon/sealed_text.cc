#include "daemon/sealed_text.h"

#include <cerrno>

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

namespace postrider::daemon {

Result<UniqueFd> seal_text(std::string_view text) {
    UniqueFd file(::memfd_create("postrider", MFD_CLOEXEC | MFD_ALLOW_SEALING));
    if (!file) return Unexpected(system_error("make a file in memory", errno));
    while (!text.empty()) {
        const ssize_t written = ::write(file.get(), text.data(), text.size());
        if (written < 0) return Unexpected(system_error("write a file in memory", errno));
        text.remove_prefix(static_cast<std::size_t>(written));
    }
    constexpr int kSeals = F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE;
    if (::fcntl(file.get(), F_ADD_SEALS, kSeals) < 0) {
        return Unexpected(system_error("seal a file in memory", errno));
    }
    return file;
}

Result<std::string> read_sealed_text(int descriptor) {
    struct stat facts {};
    if (::fstat(descriptor, &facts) < 0) {
        return Unexpected(system_error("look at a file in memory", errno));
    }
    std::string text(static_cast<std::size_t>(facts.st_size), '\0');
    for (std::size_t at = 0; at < text.size();) {
        const ssize_t got =
            ::pread(descriptor, text.data() + at, text.size() - at, static_cast<off_t>(at));
        if (got <= 0)
            return Unexpected(system_error("read a file in memory", got < 0 ? errno : EIO));
        at += static_cast<std::size_t>(got);
    }
    return text;
}

}  // namespace postrider::daemon
