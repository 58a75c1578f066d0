#include "disk.h"

#include <algorithm>
#include <cstring>

#include <sys/statvfs.h>

#include <sqlite3.h>

#include "virtual_time.h"

namespace postrider::simulation {
namespace {

Disk* current = nullptr;

constexpr std::size_t kSector = 512;
constexpr std::size_t kBlock = 4096;

/// An open file, where SQLite wants it.
struct Handle {
    sqlite3_file base;
    Disk::File* file;
};

Disk::File& of(sqlite3_file* file) {
    return *reinterpret_cast<Handle*>(file)->file;
}

void put_down(std::string& bytes, const Disk::Write& write) {
    if (write.truncates) {
        bytes.resize(write.offset);
        return;
    }
    const std::size_t end = write.offset + write.bytes.size();
    if (bytes.size() < end) bytes.resize(end);
    bytes.replace(write.offset, write.bytes.size(), write.bytes);
}

int close_file(sqlite3_file* file) {
    --of(file).connections;
    return SQLITE_OK;
}
int read_file(sqlite3_file* file, void* into, int size, sqlite3_int64 offset) {
    const std::string& bytes = of(file).bytes;
    const auto wanted = static_cast<std::size_t>(size);
    const auto from = static_cast<std::size_t>(offset);
    const std::size_t there = from >= bytes.size() ? 0 : std::min(wanted, bytes.size() - from);
    std::memcpy(into, bytes.data() + std::min(from, bytes.size()), there);
    if (there == wanted) return SQLITE_OK;
    std::memset(static_cast<char*>(into) + there, 0, wanted - there);
    return SQLITE_IOERR_SHORT_READ;
}
int write_file(sqlite3_file* file, const void* from, int size, sqlite3_int64 offset) {
    return current->write(of(file), static_cast<std::size_t>(offset),
                          static_cast<const char*>(from), static_cast<std::size_t>(size));
}
int truncate_file(sqlite3_file* file, sqlite3_int64 size) {
    return current->truncate(of(file), static_cast<std::size_t>(size));
}
int sync_file(sqlite3_file* file, int) {
    return current->sync(of(file));
}
int size_of_file(sqlite3_file* file, sqlite3_int64* size) {
    *size = static_cast<sqlite3_int64>(of(file).bytes.size());
    return SQLITE_OK;
}
// One connection at a time: locks are always free.
int lock_file(sqlite3_file*, int) {
    return SQLITE_OK;
}
int check_lock(sqlite3_file*, int* taken) {
    *taken = 0;
    return SQLITE_OK;
}
/// Blocks are allocated ahead, so that what is promised room has it.
int grow(sqlite3_file* file, sqlite3_int64 size) {
    const std::size_t now = of(file).bytes.size();
    if (static_cast<std::size_t>(size) <= now) return SQLITE_OK;
    const std::string zeros(static_cast<std::size_t>(size) - now, '\0');
    return current->write(of(file), now, zeros.data(), zeros.size());
}
int control_file(sqlite3_file* file, int operation, void* argument) {
    switch (operation) {
        case SQLITE_FCNTL_CHUNK_SIZE:
            return SQLITE_OK;
        case SQLITE_FCNTL_SIZE_HINT:
            return grow(file, *static_cast<sqlite3_int64*>(argument));
        case SQLITE_FCNTL_MMAP_SIZE:  // There is no mapping, and there cannot be one.
            *static_cast<sqlite3_int64*>(argument) = 0;
            return SQLITE_OK;
        case SQLITE_FCNTL_PERSIST_WAL:
            *static_cast<int*>(argument) = 1;
            return SQLITE_OK;
        default:
            return SQLITE_NOTFOUND;
    }
}
int sector_size(sqlite3_file*) {
    return static_cast<int>(kSector);
}
int characteristics(sqlite3_file*) {
    return 0;
}
int map_shared(sqlite3_file* file, int region, int size, int extend, void volatile** at) {
    auto& shared = of(file).shared;
    const auto wanted = static_cast<std::size_t>(region);
    while (extend != 0 && shared.size() <= wanted) {
        shared.push_back(std::make_unique<std::vector<char>>(static_cast<std::size_t>(size)));
    }
    *at = shared.size() <= wanted ? nullptr : shared[wanted]->data();
    return SQLITE_OK;
}
int lock_shared(sqlite3_file*, int, int, int) {
    return SQLITE_OK;
}
void barrier(sqlite3_file*) {}
int unmap_shared(sqlite3_file* file, int) {
    // The index does not outlive its only user: the next one makes it anew from the log.
    of(file).shared.clear();
    return SQLITE_OK;
}

const sqlite3_io_methods kMethods = {2,
                                     close_file,
                                     read_file,
                                     write_file,
                                     truncate_file,
                                     sync_file,
                                     size_of_file,
                                     lock_file,
                                     lock_file,
                                     check_lock,
                                     control_file,
                                     sector_size,
                                     characteristics,
                                     map_shared,
                                     lock_shared,
                                     barrier,
                                     unmap_shared,
                                     nullptr,
                                     nullptr};

int open_file(sqlite3_vfs*, const char* path, sqlite3_file* file, int flags, int* out_flags) {
    file->pMethods = nullptr;
    if (path == nullptr) return SQLITE_CANTOPEN;  // Nothing of ours needs temporary files.
    Disk::File* found = current->find(path);
    if (found == nullptr) {
        if ((flags & SQLITE_OPEN_CREATE) == 0 || current->is_dead()) return SQLITE_CANTOPEN;
        found = &current->create(path);
    }
    reinterpret_cast<Handle*>(file)->file = found;
    ++found->connections;
    file->pMethods = &kMethods;
    if (out_flags != nullptr) *out_flags = flags;
    return SQLITE_OK;
}
int delete_file(sqlite3_vfs*, const char* path, int) {
    if (current->is_dead()) return SQLITE_IOERR_DELETE;
    current->remove(path);
    return SQLITE_OK;
}
int access_file(sqlite3_vfs*, const char* path, int, int* result) {
    *result = current->find(path) != nullptr ? 1 : 0;
    return SQLITE_OK;
}
int full_path(sqlite3_vfs*, const char* path, int size, char* out) {
    sqlite3_snprintf(size, out, "%s", path);
    return SQLITE_OK;
}
int fill_randomly(sqlite3_vfs*, int size, char* out) {
    for (int i = 0; i < size; ++i) out[i] = static_cast<char>(current->random_byte());
    return size;
}
int sleep_for(sqlite3_vfs*, int microseconds) {
    virtual_time::advance_to(virtual_time::now() + Duration(microseconds));
    return microseconds;
}
int time_of_day(sqlite3_vfs*, sqlite3_int64* milliseconds) {
    *milliseconds = 212662670400000;  // Nothing of ours asks SQLite for the time.
    return SQLITE_OK;
}
int last_error(sqlite3_vfs*, int, char*) {
    return 0;
}

}  // namespace

Disk::Disk(std::mt19937_64& random) : random_(random), vfs_(std::make_unique<sqlite3_vfs>()) {
    current = this;
    vfs_->iVersion = 2;
    vfs_->szOsFile = static_cast<int>(sizeof(Handle));
    vfs_->mxPathname = 512;
    vfs_->zName = kName;
    vfs_->xOpen = open_file;
    vfs_->xDelete = delete_file;
    vfs_->xAccess = access_file;
    vfs_->xFullPathname = full_path;
    vfs_->xRandomness = fill_randomly;
    vfs_->xSleep = sleep_for;
    vfs_->xGetLastError = last_error;
    vfs_->xCurrentTimeInt64 = time_of_day;
    sqlite3_vfs_register(vfs_.get(), 0);
}

Disk::~Disk() {
    sqlite3_vfs_unregister(vfs_.get());
    current = nullptr;
}

void Disk::fail(Operation operation, int nth, int code, bool for_good) {
    plans_[static_cast<std::size_t>(operation)] = {nth, code, for_good};
}

void Disk::heal() {
    plans_[0] = plans_[1] = Plan();
    capacity_ = UINT64_MAX;
    sync_time_ = Duration{0};
}

void Disk::die_at(Operation operation, int nth) {
    deaths_[static_cast<std::size_t>(operation)].nth = nth;
}

Disk::File* Disk::find(const std::string& path) {
    const auto found = files_.find(path);
    return found == files_.end() ? nullptr : &found->second;
}

int Disk::before(Operation operation) {
    Plan& death = deaths_[static_cast<std::size_t>(operation)];
    if (death.nth > 0 && --death.nth == 0) dead_ = true;
    if (dead_) return operation == Operation::Write ? SQLITE_IOERR_WRITE : SQLITE_IOERR_FSYNC;
    Plan& plan = plans_[static_cast<std::size_t>(operation)];
    if (plan.nth == 0) return 0;
    if (plan.nth > 1) {
        --plan.nth;
        return 0;
    }
    ++failed_count_;
    const int code = plan.code;
    if (!plan.for_good) plan = Plan();
    return code;
}

int Disk::write(File& file, std::size_t offset, const char* bytes, std::size_t size) {
    const bool was_alive = !dead_;
    const int code = before(Operation::Write);
    const bool dies_here = was_alive && dead_;  // Then some of it is written.
    if (code != 0 && !dies_here) return code;
    if (dies_here) size = random_() % (size + 1);
    const std::uint64_t end = offset + size;
    if (end > file.bytes.size() && end - file.bytes.size() > free_space()) {
        ++failed_count_;
        return SQLITE_FULL;
    }
    // What lies in different blocks goes its own ways.
    for (std::size_t done = 0; done < size;) {
        Write made;
        made.offset = offset + done;
        made.bytes.assign(bytes + done, std::min(size - done, kBlock - made.offset % kBlock));
        done += made.bytes.size();
        put_down(file.bytes, made);
        file.pending.push_back(std::move(made));
    }
    return code;
}

int Disk::truncate(File& file, std::size_t size) {
    if (dead_) return SQLITE_IOERR_TRUNCATE;
    Write made;
    made.offset = size;
    made.truncates = true;
    put_down(file.bytes, made);
    file.pending.push_back(std::move(made));
    return SQLITE_OK;
}

int Disk::sync(File& file) {
    if (const int code = before(Operation::Sync); code != 0) {
        // Readable from now on, never written to the disk any more.
        if (!dead_) file.pending.clear();
        return code;
    }
    virtual_time::advance_to(virtual_time::now() + sync_time_);
    if (lying_) return SQLITE_OK;
    for (const Write& write : file.pending) put_down(file.safe, write);
    file.pending.clear();
    return SQLITE_OK;
}

void Disk::revive(bool power_was_cut) {
    for (auto& [path, file] : files_) {
        file.shared.clear();
        if (!power_was_cut) continue;
        std::shuffle(file.pending.begin(), file.pending.end(), random_);
        if (!file.pending.empty() && !lying_) {
            file.pending.resize(random_() % (file.pending.size() + 1));
            if (!file.pending.empty()) {
                std::string& last = file.pending.back().bytes;
                last.resize(random_() % (last.size() / kSector + 1) * kSector);
            }
            for (const Write& write : file.pending) put_down(file.safe, write);
        }
        file.pending.clear();
        file.bytes = file.safe;
    }
    forget_deaths();
    dead_ = false;
}

std::uint64_t Disk::used() const {
    std::uint64_t sum = 0;
    for (const auto& [path, file] : files_) sum += file.bytes.size();
    return sum;
}

std::uint64_t Disk::free_space() const {
    const std::uint64_t taken = used();
    return taken >= capacity_ ? 0 : capacity_ - taken;
}

}  // namespace postrider::simulation

// Found before that of the C library: the room that the store asks about is the simulated disk's.
extern "C" int statvfs(const char* /*path*/, struct statvfs* status) noexcept {
    using postrider::simulation::current;
    using postrider::simulation::kBlock;
    std::memset(status, 0, sizeof *status);
    constexpr std::uint64_t kPlenty = 1ULL << 40;
    const std::uint64_t room = current == nullptr ? kPlenty : current->free_space();
    status->f_frsize = kBlock;
    status->f_bavail = std::min(room, kPlenty) / kBlock;
    return 0;
}
