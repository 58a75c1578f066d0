// A tool's side of the operator's socket: blocking, one request at a time.
#pragma once

#include <filesystem>
#include <functional>
#include <string_view>

#include "control/request.h"
#include "core/result.h"
#include "core/unique_fd.h"

namespace postrider::control {

/// Where the daemon listens, below the queue directory.
std::filesystem::path socket_path(const std::filesystem::path& queue_directory);

class Client {
public:
    /// Connection or NotFound when no daemon listens there.
    static Result<Client> connect(const std::filesystem::path& socket);

    /// Sends the request and calls `line` for each line of the answer but the last; its being false
    /// ends the reading. Returns the count of `done`; the daemon's refusal as Denied or Invalid.
    Result<std::uint64_t> ask(const Request&, const std::function<bool(std::string_view)>& line);

private:
    explicit Client(UniqueFd socket) : socket_(std::move(socket)) {}
    UniqueFd socket_;
};

/// Whether a line of an answer is its last one, and what it says.
struct LastLine {
    bool is_last = false;
    Result<std::uint64_t> result = std::uint64_t{0};
};
LastLine parse_last_line(std::string_view line);

}  // namespace postrider::control
