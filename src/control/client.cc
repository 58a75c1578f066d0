#include "control/client.h"

#include <array>
#include <cerrno>

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <nlohmann/json.hpp>

namespace postrider::control {
namespace {

using Json = nlohmann::json;

Result<void> send_all(int socket, std::string_view bytes) {
    while (!bytes.empty()) {
        const ssize_t sent = ::send(socket, bytes.data(), bytes.size(), MSG_NOSIGNAL);
        if (sent < 0) {
            if (errno == EINTR) continue;
            return Unexpected(system_error("ask the mail system", errno));
        }
        bytes.remove_prefix(static_cast<std::size_t>(sent));
    }
    return {};
}

}  // namespace

std::filesystem::path socket_path(const std::filesystem::path& queue_directory) {
    return queue_directory / "public" / "control";
}

Result<Client> Client::connect(const std::filesystem::path& path) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (path.native().size() >= sizeof address.sun_path) {
        return Unexpected(ErrorCode::Invalid,
                          "the path of the control socket is too long: " + path.native());
    }
    path.native().copy(address.sun_path, sizeof address.sun_path - 1);
    UniqueFd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    if (!socket) return Unexpected(system_error("open a socket", errno));
    if (::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) < 0) {
        return Unexpected(system_error("Connect to the mail system at " + path.native(), errno));
    }
    return Client(std::move(socket));
}

LastLine parse_last_line(std::string_view line) {
    LastLine last;
    // Content and messages are by far the most lines, and never the last.
    if (line.starts_with("{\"message\"") || line.starts_with("{\"content\"")) return last;
    const Json json = Json::parse(line, nullptr, false);
    if (!json.is_object()) {
        last.is_last = true;
        last.result = Unexpected(ErrorCode::Protocol, "malformed answer from the mail system");
    } else if (json.contains("done") && json["done"].is_number_unsigned()) {
        last.is_last = true;
        last.result = json["done"].get<std::uint64_t>();
    } else if (json.contains("error") && json["error"].is_string()) {
        last.is_last = true;
        const bool denied = json.contains("denied") && json["denied"] == true;
        last.result = Unexpected(denied ? ErrorCode::Denied : ErrorCode::Invalid,
                                 json["error"].get<std::string>());
    }
    return last;
}

Result<std::uint64_t> Client::ask(const Request& request,
                                  const std::function<bool(std::string_view)>& line) {
    if (auto sent = send_all(socket_.get(), to_line(request) + "\n"); !sent) {
        return Unexpected(std::move(sent).error());
    }
    std::string buffer;
    std::array<char, 65536> chunk;
    while (true) {
        const ssize_t count = ::read(socket_.get(), chunk.data(), chunk.size());
        if (count < 0 && errno == EINTR) continue;
        if (count < 0) return Unexpected(system_error("read from the mail system", errno));
        if (count == 0) {
            return Unexpected(ErrorCode::Connection, "the mail system closed the connection");
        }
        buffer.append(chunk.data(), static_cast<std::size_t>(count));
        std::size_t start = 0;
        for (std::size_t end; (end = buffer.find('\n', start)) != std::string::npos;
             start = end + 1) {
            const std::string_view text = std::string_view(buffer).substr(start, end - start);
            if (LastLine last = parse_last_line(text); last.is_last) return std::move(last.result);
            if (!line(text)) return std::uint64_t{0};
        }
        buffer.erase(0, start);
    }
}

}  // namespace postrider::control
