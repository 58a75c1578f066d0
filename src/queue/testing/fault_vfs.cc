#include "queue/testing/fault_vfs.h"

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <new>

#include <sqlite3.h>

namespace postrider::queue::testing {
namespace {

FaultVfs* current = nullptr;

struct File {
    sqlite3_file base;
    FaultVfs::Image* image;
    sqlite3_file* real;
};

File* of(sqlite3_file* file) {
    return reinterpret_cast<File*>(file);
}
sqlite3_file* real(sqlite3_file* file) {
    return of(file)->real;
}

void apply(std::string& bytes, const FaultVfs::Write& write) {
    if (write.truncates) {
        bytes.resize(write.offset);
        return;
    }
    if (bytes.size() < write.offset + write.bytes.size()) {
        bytes.resize(write.offset + write.bytes.size());
    }
    bytes.replace(write.offset, write.bytes.size(), write.bytes);
}

int close_file(sqlite3_file* file) {
    return real(file)->pMethods->xClose(real(file));
}
int read_file(sqlite3_file* file, void* into, int size, sqlite3_int64 offset) {
    if (const int code = current->before(FaultVfs::Operation::Read); code != 0) return code;
    return real(file)->pMethods->xRead(real(file), into, size, offset);
}
int write_file(sqlite3_file* file, const void* from, int size, sqlite3_int64 offset) {
    if (current->is_dark()) return SQLITE_IOERR_WRITE;
    if (const int code = current->before(FaultVfs::Operation::Write); code != 0) return code;
    of(file)->image->write(static_cast<std::size_t>(offset),
                           {static_cast<const char*>(from), static_cast<std::size_t>(size)});
    return real(file)->pMethods->xWrite(real(file), from, size, offset);
}
int truncate_file(sqlite3_file* file, sqlite3_int64 size) {
    if (current->is_dark()) return SQLITE_IOERR_TRUNCATE;
    FaultVfs::Write write;
    write.offset = static_cast<std::size_t>(size);
    write.truncates = true;
    of(file)->image->pending.push_back(std::move(write));
    return real(file)->pMethods->xTruncate(real(file), size);
}
int sync_file(sqlite3_file* file, int) {
    if (current->is_dark()) return SQLITE_IOERR_FSYNC;
    if (const int code = current->before(FaultVfs::Operation::Sync); code != 0) {
        of(file)->image->pending.clear();
        return code;
    }
    // The real disk is not asked: what it would keep is written down in the image.
    current->synced(*of(file)->image);
    return SQLITE_OK;
}
int size_of_file(sqlite3_file* file, sqlite3_int64* size) {
    return real(file)->pMethods->xFileSize(real(file), size);
}
int lock_file(sqlite3_file* file, int level) {
    return real(file)->pMethods->xLock(real(file), level);
}
int unlock_file(sqlite3_file* file, int level) {
    return real(file)->pMethods->xUnlock(real(file), level);
}
int check_lock(sqlite3_file* file, int* taken) {
    return real(file)->pMethods->xCheckReservedLock(real(file), taken);
}
int control_file(sqlite3_file* file, int operation, void* argument) {
    return real(file)->pMethods->xFileControl(real(file), operation, argument);
}
int sector_size(sqlite3_file* file) {
    return real(file)->pMethods->xSectorSize(real(file));
}
int characteristics(sqlite3_file* file) {
    return real(file)->pMethods->xDeviceCharacteristics(real(file));
}
int map_shm(sqlite3_file* file, int page, int size, int extend, void volatile** at) {
    return real(file)->pMethods->xShmMap(real(file), page, size, extend, at);
}
int lock_shm(sqlite3_file* file, int offset, int n, int flags) {
    return real(file)->pMethods->xShmLock(real(file), offset, n, flags);
}
void barrier_shm(sqlite3_file* file) {
    real(file)->pMethods->xShmBarrier(real(file));
}
int unmap_shm(sqlite3_file* file, int remove) {
    return real(file)->pMethods->xShmUnmap(real(file), remove);
}

const sqlite3_io_methods kMethods = {
    2,         close_file,  read_file,  write_file,   truncate_file, sync_file,       size_of_file,
    lock_file, unlock_file, check_lock, control_file, sector_size,   characteristics, map_shm,
    lock_shm,  barrier_shm, unmap_shm,  nullptr,      nullptr};

int open_file(sqlite3_vfs*, const char* path, sqlite3_file* file, int flags, int* out_flags) {
    file->pMethods = nullptr;
    sqlite3_vfs* under = current->real();
    auto* real_file = reinterpret_cast<sqlite3_file*>(reinterpret_cast<char*>(file) + sizeof(File));
    const int code = under->xOpen(under, path, real_file, flags, out_flags);
    if (code != SQLITE_OK) return code;
    of(file)->real = real_file;
    of(file)->image = &current->open(path != nullptr ? path : "");
    file->pMethods = &kMethods;
    return SQLITE_OK;
}
int delete_file(sqlite3_vfs*, const char* path, int sync) {
    if (current->is_dark()) return SQLITE_IOERR_DELETE;
    current->removed(path);
    return current->real()->xDelete(current->real(), path, sync);
}
int access_file(sqlite3_vfs*, const char* path, int flags, int* result) {
    return current->real()->xAccess(current->real(), path, flags, result);
}
int full_path(sqlite3_vfs*, const char* path, int size, char* out) {
    return current->real()->xFullPathname(current->real(), path, size, out);
}

std::string contents(const std::string& path) {
    std::ifstream in(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

}  // namespace

FaultVfs::FaultVfs() : real_(sqlite3_vfs_find(nullptr)), own_(new sqlite3_vfs(*real_)) {
    current = this;
    own_->zName = kName;
    own_->pNext = nullptr;
    own_->szOsFile = static_cast<int>(sizeof(File)) + real_->szOsFile;
    own_->xOpen = open_file;
    own_->xDelete = delete_file;
    own_->xAccess = access_file;
    own_->xFullPathname = full_path;
    sqlite3_vfs_register(own_.get(), 0);
}

FaultVfs::~FaultVfs() {
    sqlite3_vfs_unregister(own_.get());
    current = nullptr;
}

void FaultVfs::Image::write(std::size_t offset, std::string_view bytes) {
    while (!bytes.empty()) {
        Write part;
        part.offset = offset;
        part.bytes = bytes.substr(0, kBlock - offset % kBlock);
        offset += part.bytes.size();
        bytes.remove_prefix(part.bytes.size());
        pending.push_back(std::move(part));
    }
}

void FaultVfs::fail(Operation operation, int nth, int code, bool for_good) {
    const std::lock_guard guard(mutex_);
    plans_[static_cast<std::size_t>(operation)] = {nth, code, for_good};
}

void FaultVfs::heal() {
    const std::lock_guard guard(mutex_);
    std::fill(std::begin(plans_), std::end(plans_), Plan());
}

int FaultVfs::before(Operation operation) {
    const std::lock_guard guard(mutex_);
    ++counts_[static_cast<std::size_t>(operation)];
    Plan& plan = plans_[static_cast<std::size_t>(operation)];
    if (plan.nth == 0) return 0;
    if (plan.nth > 1) {
        --plan.nth;
        return 0;
    }
    const int code = plan.code;
    if (!plan.for_good) plan = Plan();
    return code;
}

FaultVfs::Image& FaultVfs::open(const std::string& path) {
    const auto [place, is_new] = images_.try_emplace(path);
    if (is_new) place->second.durable = contents(path);
    return place->second;
}

void FaultVfs::removed(const std::string& path) {
    images_.erase(path);
}

void FaultVfs::synced(Image& image) {
    if (lying_) return;
    for (const Write& write : image.pending) apply(image.durable, write);
    image.pending.clear();
}

void FaultVfs::restore_power(std::mt19937& random) {
    for (auto& [path, image] : images_) {
        // A disk writes in whatever order it likes.
        std::shuffle(image.pending.begin(), image.pending.end(), random);
        if (!image.pending.empty() && !lying_) {
            image.pending.resize(random() % (image.pending.size() + 1));
            if (!image.pending.empty()) {
                std::string& last = image.pending.back().bytes;
                last.resize(last.size() / 512 * 512 / 2 / 512 * 512);
            }
            for (const Write& write : image.pending) apply(image.durable, write);
        }
        image.pending.clear();
        std::ofstream(path, std::ios::binary | std::ios::trunc) << image.durable;
    }
    dark_ = false;
    heal();
}

}  // namespace postrider::queue::testing
