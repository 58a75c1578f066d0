#include "daemon/service_manager.h"

#include <cerrno>
#include <charconv>
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <optional>

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

namespace postrider::daemon {
namespace {

constexpr int kFirstHandedOver = 3;
constexpr int kHandedOverMax = 1024;

std::optional<int> number_in(const char* variable) {
    const char* text = std::getenv(variable);
    if (!text) return std::nullopt;
    int number = 0;
    const char* end = text + std::strlen(text);
    const auto [stop, trouble] = std::from_chars(text, end, number);
    if (trouble != std::errc() || stop != end) return std::nullopt;
    return number;
}

}  // namespace

HandedOver take_handed_over() {
    const auto pid = number_in("LISTEN_PID");
    const auto count = number_in("LISTEN_FDS");
    const char* names = std::getenv("LISTEN_FDNAMES");
    HandedOver handed_over;
    handed_over.own = names != nullptr && names == kOwnSockets;
    for (const char* variable : {"LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"}) {
        ::unsetenv(variable);
    }
    // Another process's number: the variables were meant for who started us.
    if (!pid || *pid != ::getpid() || !count) return handed_over;
    for (int i = 0; i < *count && i < kHandedOverMax; ++i) {
        const int fd = kFirstHandedOver + i;
        if (::fcntl(fd, F_SETFD, FD_CLOEXEC) == 0) handed_over.sockets.emplace_back(fd);
    }
    return handed_over;
}

Result<void> tell_service_manager(std::string_view state) {
    const char* path = std::getenv("NOTIFY_SOCKET");
    if (!path || *path == '\0') return {};
    const std::string attempt = std::string("tell the service manager on ") + path;
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    const std::size_t length = std::strlen(path);
    if ((*path != '/' && *path != '@') || length >= sizeof address.sun_path) {
        return Unexpected(ErrorCode::Invalid, attempt + ": not the path of a socket");
    }
    std::memcpy(address.sun_path, path, length);
    if (*path == '@') address.sun_path[0] = '\0';  // The abstract namespace.
    const UniqueFd socket(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + length);
    if (!socket || ::sendto(socket.get(), state.data(), state.size(), MSG_NOSIGNAL,
                            reinterpret_cast<const sockaddr*>(&address), size) < 0) {
        return Unexpected(system_error(attempt, errno));
    }
    return {};
}

}  // namespace postrider::daemon
