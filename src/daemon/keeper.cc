#include "daemon/keeper.h"

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "daemon/layout.h"
#include "daemon/link.h"
#include "daemon/table_watch.h"
#include "intake/drop.h"

namespace postrider::daemon {
namespace {

constexpr timeval kPatience{5, 0};

const char* keeper_socket() {
    return std::getenv("POSTRIDER_KEEPER");
}

Result<UniqueFd> connect_to(const char* path) {
    const std::string attempt = std::string("connect to ") + path;
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    const std::size_t length = std::strlen(path);
    if (length >= sizeof address.sun_path) {
        return Unexpected(ErrorCode::Invalid, attempt + ": the name is too long");
    }
    std::memcpy(address.sun_path, path, length);
    UniqueFd socket(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
    if (!socket ||
        ::setsockopt(socket.get(), SOL_SOCKET, SO_RCVTIMEO, &kPatience, sizeof kPatience) < 0 ||
        ::setsockopt(socket.get(), SOL_SOCKET, SO_SNDTIMEO, &kPatience, sizeof kPatience) < 0 ||
        ::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) < 0) {
        return Unexpected(ErrorCode::Unavailable, system_error(attempt, errno).message);
    }
    return socket;
}

Result<UniqueFd> open_drop_at(const std::filesystem::path& path) {
    const UniqueFd directory(
        ::open(path.parent_path().c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    if (!directory) return Unexpected(system_error("open " + path.parent_path().native(), errno));
    auto drop = intake::open_drop(directory.get(), path.filename());
    if (!drop) return Unexpected(std::move(drop).error());
    return std::move(drop->file);
}

Result<UniqueFd> open_table_file(const std::filesystem::path& path) {
    UniqueFd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK));
    struct stat status {};
    if (!file || ::fstat(file.get(), &status) < 0) {
        return Unexpected(system_error("open " + path.native(), errno));
    }
    if (!S_ISREG(status.st_mode)) {
        return Unexpected(ErrorCode::Denied, "open " + path.native() + ": not a regular file");
    }
    return file;
}

Result<UniqueFd> open_what_is_named(const config::Config& config, const std::string& name) {
    const std::filesystem::path path(name);
    const Layout layout{config.text("queue_directory")};
    if (path.parent_path() == layout.maildrop()) return open_drop_at(path);
    const auto files = table_files(config);
    const bool named = std::any_of(files.begin(), files.end(),
                                   [&](const TableFile& file) { return file.path == path; });
    if (!named) {
        return Unexpected(ErrorCode::Denied, "open " + name + ": main.cf names no such table");
    }
    return open_table_file(path);
}

}  // namespace

bool has_keeper() {
    return keeper_socket() != nullptr;
}

Result<UniqueFd> ask_keeper(const std::string& path) {
    auto keeper = connect_to(keeper_socket());
    if (!keeper) return Unexpected(std::move(keeper).error());
    if (path.size() > kNoteTextMax) {
        return Unexpected(ErrorCode::Limit, "open " + path + ": the name is too long");
    }
    const Note question(Note::Kind::Open, 0, path);
    if (auto sent = send_note(keeper->get(), question); !sent) {
        return Unexpected(ErrorCode::Unavailable, sent.error().message);
    }
    auto answer = receive_note(keeper->get());
    if (!answer || !*answer) {
        return Unexpected(ErrorCode::Unavailable, "open " + path + ": the keeper does not answer");
    }
    if (!(*answer)->fd) return Unexpected(ErrorCode::Denied, (*answer)->text);
    return std::move((*answer)->fd);
}

Result<void> answer_as_keeper(const config::Config& config, int client) {
    const auto question = receive_note(client);
    if (!question) return Unexpected(question.error());
    if (!*question || (*question)->kind != Note::Kind::Open) {
        return Unexpected(ErrorCode::Protocol, "a keeper is asked to open files");
    }
    auto file = open_what_is_named(config, (*question)->text);
    const std::string reason = file ? "" : file.error().message.substr(0, kNoteTextMax);
    const Note answer(Note::Kind::Open, 0, reason, file ? std::move(*file) : UniqueFd());
    return send_note(client, answer);
}

}  // namespace postrider::daemon
