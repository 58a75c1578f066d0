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
    return outcome(open, Unexpected(vfs_error("write", path_of(number), code, open.file->get())));
}

Result<void> ContentFiles::sync(std::uint64_t number) {
    Open& open = open_.at(number);
    if (open.failed) return Unexpected(*open.failed);
    const int code = open.file->operations().xSync(open.file->get(), SQLITE_SYNC_NORMAL);
    if (code == SQLITE_OK) return {};
    return outcome(open, Unexpected(vfs_error("sync", path_of(number), code, open.file->get())));
}

void ContentFiles::close(std::uint64_t number) {
    open_.erase(number);
}

/// Null if there is no file.
Result<VfsFile*> ContentFiles::open_to_read(std::uint64_t number) {
    const auto known = std::find_if(reading_.begin(), reading_.end(),
                                    [&](const Reading& one) { return one.number == number; });
    if (known != reading_.end()) {
        reading_.splice(reading_.begin(), reading_, known);
        return known->file.get();
    }
    Reading reading{number, path_of(number), std::make_unique<VfsFile>(vfs_)};
    int is_there = 0;
    int code = vfs_->xAccess(vfs_, reading.path.c_str(), SQLITE_ACCESS_EXISTS, &is_there);
    if (code == SQLITE_OK && is_there == 0) return nullptr;
    // The path must have found its place by then.
    reading_.push_front(std::move(reading));
    const Reading& kept = reading_.front();
    if (code == SQLITE_OK) {
        code = vfs_->xOpen(vfs_, kept.path.c_str(), kept.file->get(), kKind, nullptr);
    }
    if (code != SQLITE_OK) {
        const Error error = vfs_error("open", kept.path, code);
        reading_.pop_front();
        return Unexpected(error);
    }
    if (reading_.size() > kReadingMax) reading_.pop_back();
    return kept.file.get();
}

void ContentFiles::stop_reading(std::uint64_t number) {
    reading_.remove_if([&](const Reading& one) { return one.number == number; });
}

void ContentFiles::rest() {
    reading_.clear();
}

Result<std::string> ContentFiles::read(std::uint64_t number, std::uint32_t piece) {
    const auto opened = open_to_read(number);
    if (!opened) return Unexpected(opened.error());
    if (*opened == nullptr) return std::string();
    VfsFile& file = **opened;
    sqlite3_int64 size = 0;
    int code = file.operations().xFileSize(file.get(), &size);
    const sqlite3_int64 from = place_of(piece);
    const sqlite3_int64 left = std::clamp<sqlite3_int64>(size - from, 0, place_of(1));
    std::string bytes(static_cast<std::size_t>(left), '\0');
    if (code == SQLITE_OK && left > 0) {
        code = file.operations().xRead(file.get(), bytes.data(), static_cast<int>(left), from);
    }
    if (code != SQLITE_OK || size <= place_of(piece + 1)) stop_reading(number);
    if (code != SQLITE_OK) return Unexpected(vfs_error("read", path_of(number), code));
    return bytes;
}

Result<bool> ContentFiles::remove(std::uint64_t number) {
    stop_reading(number);
    const auto path = path_of(number);
    const int code = vfs_->xDelete(vfs_, path.c_str(), 0);
    if (code == SQLITE_IOERR_DELETE_NOENT) return false;
    if (code != SQLITE_OK) return Unexpected(vfs_error("remove", path, code));
    return true;
}

}  // namespace postrider::queue
