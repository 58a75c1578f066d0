// A file opened through SQLite's file layer, so that the fault tests see what is done to it.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include <sqlite3.h>

#include "core/result.h"

namespace postrider::queue {

/// Owns the memory that the layer wants for an open file; closed with it.
class VfsFile {
public:
    explicit VfsFile(sqlite3_vfs* vfs)
        : memory_(static_cast<std::size_t>(vfs->szOsFile)),
          file_(reinterpret_cast<sqlite3_file*>(memory_.data())) {}
    ~VfsFile() {
        if (file_->pMethods != nullptr) file_->pMethods->xClose(file_);
    }
    VfsFile(const VfsFile&) = delete;
    VfsFile& operator=(const VfsFile&) = delete;
    sqlite3_file* get() const { return file_; }
    const sqlite3_io_methods& operations() const { return *file_->pMethods; }

private:
    std::vector<char> memory_;
    sqlite3_file* file_;
};

/// The layer of that name; the system's if it is empty, null if there is none.
inline sqlite3_vfs* find_vfs(const std::string& name) {
    return sqlite3_vfs_find(name.empty() ? nullptr : name.c_str());
}

/// What went wrong with `path`, for people; with what the system said about `file`, if it is open.
/// SQLite knows only ENOSPC from a write as "full"; a quota is the same to us.
inline Error vfs_error(const char* verb, const std::filesystem::path& path, int code,
                       sqlite3_file* file = nullptr) {
    const std::string what = std::string(verb) + " " + path.string();
    int number = 0;
    if (file != nullptr && file->pMethods != nullptr && (code & 0xff) == SQLITE_IOERR) {
        (void)file->pMethods->xFileControl(file, SQLITE_FCNTL_LAST_ERRNO, &number);
    }
    if (number != 0) return system_error(what, number);
    return {code == SQLITE_FULL ? ErrorCode::DiskFull : ErrorCode::Io,
            what + ": " + sqlite3_errstr(code)};
}

}  // namespace postrider::queue
