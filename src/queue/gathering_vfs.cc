#include "queue/gathering_vfs.h"

#include <cstring>
#include <utility>

#include <fmt/format.h>
#include <sqlite3.h>

#include "queue/vfs_file.h"

namespace postrider::queue {
namespace {

/// An open log, where SQLite wants it, which is at a multiple of eight. The file of the layer below
/// stands right behind it.
struct LogFile {
    sqlite3_file base;
    char* waiting;  ///< Null while nothing waits.
    int size;
    sqlite3_int64 offset;  ///< In the file, of the first byte that waits.
};
static_assert(sizeof(LogFile) % 8 == 0 && alignof(LogFile) <= 8);

LogFile& log(sqlite3_file* file) {
    return *reinterpret_cast<LogFile*>(file);
}
sqlite3_file* below(sqlite3_file* file) {
    return reinterpret_cast<sqlite3_file*>(&log(file) + 1);
}
const sqlite3_io_methods& operations(sqlite3_file* file) {
    return *below(file)->pMethods;
}

int write_what_waits(sqlite3_file* file) {
    char* const waiting = std::exchange(log(file).waiting, nullptr);
    if (waiting == nullptr) return SQLITE_OK;
    const int code =
        operations(file).xWrite(below(file), waiting, log(file).size, log(file).offset);
    sqlite3_free(waiting);
    return code;
}

int write(sqlite3_file* file, const void* from, int size, sqlite3_int64 offset) {
    LogFile& to = log(file);
    const bool follows = to.waiting != nullptr && offset == to.offset + to.size &&
                         size <= GatheringVfs::kRoom - to.size;
    if (!follows) {
        if (const int code = write_what_waits(file); code != SQLITE_OK) return code;
        if (size <= GatheringVfs::kRoom) {
            to.waiting = static_cast<char*>(sqlite3_malloc(GatheringVfs::kRoom));
        }
        if (to.waiting == nullptr) return operations(file).xWrite(below(file), from, size, offset);
        to.size = 0;
        to.offset = offset;
    }
    std::memcpy(to.waiting + to.size, from, static_cast<std::size_t>(size));
    to.size += size;
    return SQLITE_OK;
}

/// For a call of the layer below that sees, or settles, what has been written before.
template <auto call, typename... Arguments>
int after_writing(sqlite3_file* file, Arguments... arguments) {
    if (const int code = write_what_waits(file); code != SQLITE_OK) return code;
    return (operations(file).*call)(below(file), arguments...);
}

int close(sqlite3_file* file) {
    const int written = write_what_waits(file);
    const int closed = operations(file).xClose(below(file));
    return written != SQLITE_OK ? written : closed;
}

using Operations = sqlite3_io_methods;

/// Of the first version: locks and shared memory are the database's, not the log's.
const sqlite3_io_methods kLogOperations = {
    1,
    close,
    after_writing<&Operations::xRead, void*, int, sqlite3_int64>,
    write,
    after_writing<&Operations::xTruncate, sqlite3_int64>,
    after_writing<&Operations::xSync, int>,
    after_writing<&Operations::xFileSize, sqlite3_int64*>,
    after_writing<&Operations::xLock, int>,
    after_writing<&Operations::xUnlock, int>,
    after_writing<&Operations::xCheckReservedLock, int*>,
    after_writing<&Operations::xFileControl, int, void*>,
    [](sqlite3_file* file) { return operations(file).xSectorSize(below(file)); },
    [](sqlite3_file* file) { return operations(file).xDeviceCharacteristics(below(file)); },
    nullptr,
    nullptr,
    nullptr,
    nullptr,
    nullptr,
    nullptr,
};

sqlite3_vfs* layer_below(sqlite3_vfs* vfs) {
    return static_cast<sqlite3_vfs*>(vfs->pAppData);
}

int open(sqlite3_vfs* vfs, const char* path, sqlite3_file* file, int flags, int* out_flags) {
    sqlite3_vfs* const under = layer_below(vfs);
    if ((flags & SQLITE_OPEN_WAL) == 0) return under->xOpen(under, path, file, flags, out_flags);
    file->pMethods = nullptr;
    const int code = under->xOpen(under, path, below(file), flags, out_flags);
    if (code != SQLITE_OK) return code;
    log(file).waiting = nullptr;
    file->pMethods = &kLogOperations;
    return SQLITE_OK;
}

/// Every other call knows its layer by the pointer that it is given.
template <auto call, typename... Arguments>
auto by_layer_below(sqlite3_vfs* vfs, Arguments... arguments) {
    return (layer_below(vfs)->*call)(layer_below(vfs), arguments...);
}

}  // namespace

GatheringVfs::GatheringVfs(const std::string& below)
    : name_(fmt::format("gathering-{}", static_cast<const void*>(this))) {
    sqlite3_vfs* const under = find_vfs(below);
    if (under == nullptr) return;
    vfs_ = std::make_unique<sqlite3_vfs>();
    vfs_->iVersion = 2;
    vfs_->szOsFile = static_cast<int>(sizeof(LogFile)) + under->szOsFile;
    vfs_->mxPathname = under->mxPathname;
    vfs_->zName = name_.c_str();
    vfs_->pAppData = under;
    vfs_->xOpen = open;
    using Vfs = sqlite3_vfs;
    vfs_->xDelete = by_layer_below<&Vfs::xDelete, const char*, int>;
    vfs_->xAccess = by_layer_below<&Vfs::xAccess, const char*, int, int*>;
    vfs_->xFullPathname = by_layer_below<&Vfs::xFullPathname, const char*, int, char*>;
    vfs_->xRandomness = by_layer_below<&Vfs::xRandomness, int, char*>;
    vfs_->xSleep = by_layer_below<&Vfs::xSleep, int>;
    vfs_->xGetLastError = by_layer_below<&Vfs::xGetLastError, int, char*>;
    vfs_->xCurrentTimeInt64 = by_layer_below<&Vfs::xCurrentTimeInt64, sqlite3_int64*>;
    sqlite3_vfs_register(vfs_.get(), 0);
}

GatheringVfs::~GatheringVfs() {
    if (vfs_) sqlite3_vfs_unregister(vfs_.get());
}

}  // namespace postrider::queue
