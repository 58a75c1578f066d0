#include "queue/content_files.h"

#include <algorithm>

#include <fmt/format.h>

#include "queue/inbox.h"
#include "queue/vfs_file.h"

namespace postrider::queue {
namespace {

// SQLite gives what it takes for a log the owner and mode of its database, and syncs the name of a
// new one with its content.
constexpr int kKind = SQLITE_OPEN_READWRITE | SQLITE_OPEN_WAL;

sqlite3_int64 place_of(std::uint32_t piece) {
    return static_cast<sqlite3_int64>(piece) * static_cast<sqlite3_int64>(Inbox::kPieceSize);
}

}  // namespace

ContentFiles::ContentFiles(std::filesystem::path database, const std::string& vfs)
    : database_(std::move(database)), vfs_(find_vfs(vfs)) {
    POSTRIDER_CHECK(vfs_ != nullptr);
}

ContentFiles::~ContentFiles() = default;

std::filesystem::path ContentFiles::path_of(std::uint64_t number) const {
    return fmt::format("{}-c{:x}", database_.string(), number);
}

Result<void> ContentFiles::create(std::uint64_t number, Open& open) {
    open.path = path_of(number);
    open.file = std::make_unique<VfsFile>(vfs_);
    int code =
        vfs_->xOpen(vfs_, open.path.c_str(), open.file->get(), kKind | SQLITE_OPEN_CREATE, nullptr);
    // One of a database that was put back from a copy may be there.
    if (code == SQLITE_OK) code = open.file->operations().xTruncate(open.file->get(), 0);
    if (code != SQLITE_OK) return Unexpected(vfs_error("create", open.path, code));
    return {};
}

Result<void> ContentFiles::outcome(Open& open, Result<void> done) {
    if (!done) open.failed = done.error();
    return done;
}

Result<void> ContentFiles::write(std::uint64_t number, std::uint32_t piece,
                                 std::string_view bytes) {
    const auto [place, is_new] = open_.try_emplace(number);
    Open& open = place->second;
    if (open.failed) return Unexpected(*open.failed);
    if (is_new) {
        if (auto created = outcome(open, create(number, open)); !created) return created;
    }
    const int code = open.file->operations().xWrite(
        open.file->get(), bytes.data(), static_cast<int>(bytes.size()), place_of(piece));
    if (code == SQLITE_OK) return {};
    return outcome(open, Unexpected(vfs_error("write", path_of(number), code)));
}

Result<void> ContentFiles::sync(std::uint64_t number) {
    Open& open = open_.at(number);
    if (open.failed) return Unexpected(*open.failed);
    const int code = open.file->operations().xSync(open.file->get(), SQLITE_SYNC_NORMAL);
    if (code == SQLITE_OK) return {};
    return outcome(open, Unexpected(vfs_error("sync", path_of(number), code)));
}

void ContentFiles::close(std::uint64_t number) {
    open_.erase(number);
}

Result<std::string> ContentFiles::read(std::uint64_t number, std::uint32_t piece) {
    const auto path = path_of(number);
    int is_there = 0;
    int code = vfs_->xAccess(vfs_, path.c_str(), SQLITE_ACCESS_EXISTS, &is_there);
    if (code == SQLITE_OK && is_there == 0) return std::string();
    const VfsFile file(vfs_);
    sqlite3_int64 size = 0;
    if (code == SQLITE_OK) code = vfs_->xOpen(vfs_, path.c_str(), file.get(), kKind, nullptr);
    if (code == SQLITE_OK) code = file.operations().xFileSize(file.get(), &size);
    if (code != SQLITE_OK) return Unexpected(vfs_error("open", path, code));
    const sqlite3_int64 from = place_of(piece);
    const sqlite3_int64 left = std::clamp<sqlite3_int64>(size - from, 0, place_of(1));
    std::string bytes(static_cast<std::size_t>(left), '\0');
    if (left > 0) {
        code = file.operations().xRead(file.get(), bytes.data(), static_cast<int>(left), from);
    }
    if (code != SQLITE_OK) return Unexpected(vfs_error("read", path, code));
    return bytes;
}

Result<bool> ContentFiles::remove(std::uint64_t number) {
    const auto path = path_of(number);
    const int code = vfs_->xDelete(vfs_, path.c_str(), 0);
    if (code == SQLITE_IOERR_DELETE_NOENT) return false;
    if (code != SQLITE_OK) return Unexpected(vfs_error("remove", path, code));
    return true;
}

}  // namespace postrider::queue
