#include "queue/store_files.h"

#include <array>
#include <cerrno>
#include <cstring>
#include <memory>
#include <vector>

#include <fcntl.h>
#include <linux/magic.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "queue/vfs_file.h"

namespace postrider::queue {
namespace {

struct RemoteFileSystem {
    std::uint32_t magic;
    const char* name;
};

// Those the kernel headers do not name are from statfs(2).
constexpr RemoteFileSystem kRemote[] = {
    {NFS_SUPER_MAGIC, "NFS"}, {SMB_SUPER_MAGIC, "SMB"}, {0xff534d42, "CIFS"},
    {0xfe534d42, "SMB2"},     {V9FS_MAGIC, "9p"},       {FUSE_SUPER_MAGIC, "FUSE"},
    {AFS_SUPER_MAGIC, "AFS"}, {0x6b414653, "AFS"},      {CODA_SUPER_MAGIC, "Coda"},
    {NCP_SUPER_MAGIC, "NCP"}, {0x00c36400, "Ceph"},     {0x01161970, "GFS2"},
    {0x7461636f, "OCFS2"},    {0x0bd00bd0, "Lustre"},   {0x786f4256, "vboxsf"},
};

Error refused(const std::filesystem::path& path, std::string_view why) {
    return {ErrorCode::Denied, path.string() + ": " + std::string(why)};
}

int write_again(sqlite3_file* file) {
    sqlite3_int64 size = 0;
    if (const int code = file->pMethods->xFileSize(file, &size); code != SQLITE_OK) return code;
    std::vector<char> buffer(64UL * 1024);
    for (sqlite3_int64 at = 0; at < size; at += static_cast<sqlite3_int64>(buffer.size())) {
        const int length = static_cast<int>(
            std::min<sqlite3_int64>(size - at, static_cast<sqlite3_int64>(buffer.size())));
        int code = file->pMethods->xRead(file, buffer.data(), length, at);
        if (code == SQLITE_OK) code = file->pMethods->xWrite(file, buffer.data(), length, at);
        if (code != SQLITE_OK) return code;
    }
    return file->pMethods->xSync(file, SQLITE_SYNC_FULL);
}

int extend(sqlite3_file* file, sqlite3_int64 size) {
    sqlite3_int64 at = 0;
    if (const int code = file->pMethods->xFileSize(file, &at); code != SQLITE_OK) return code;
    const std::vector<char> zeros(64UL * 1024);
    while (at < size) {
        const int length = static_cast<int>(
            std::min<sqlite3_int64>(size - at, static_cast<sqlite3_int64>(zeros.size())));
        const int code = file->pMethods->xWrite(file, zeros.data(), length, at);
        if (code != SQLITE_OK) return code;
        at += length;
    }
    return file->pMethods->xSync(file, SQLITE_SYNC_FULL);
}

template <typename Body>
Result<void> with_log_file(const std::filesystem::path& path, const std::string& vfs_name,
                           Body body) {
    sqlite3_vfs* vfs = find_vfs(vfs_name);
    if (vfs == nullptr) return Unexpected(ErrorCode::Invalid, "no file layer " + vfs_name);
    const VfsFile file(vfs);
    int code =
        vfs->xOpen(vfs, path.c_str(), file.get(), SQLITE_OPEN_READWRITE | SQLITE_OPEN_WAL, nullptr);
    if (code == SQLITE_OK) code = body(file.get());
    if (code == SQLITE_OK) return {};
    return Unexpected(vfs_error("write", path, code, file.get()));
}

}  // namespace

Result<void> sync_directory(const std::filesystem::path& directory) {
    const UniqueFd fd(::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!fd || ::fsync(fd.get()) != 0) {
        return Unexpected(system_error("sync " + directory.string(), errno));
    }
    return {};
}

Result<void> check_directory(const std::filesystem::path& directory) {
    struct stat status {};
    if (::stat(directory.c_str(), &status) != 0) {
        return Unexpected(system_error(directory.string(), errno));
    }
    if (!S_ISDIR(status.st_mode)) return Unexpected(refused(directory, "not a directory"));
    if (status.st_uid != ::geteuid() && status.st_uid != 0) {
        return Unexpected(refused(
            directory, "owned by user " + std::to_string(status.st_uid) + ", not by us or root"));
    }
    if ((status.st_mode & (S_IWGRP | S_IWOTH)) != 0) {
        return Unexpected(refused(directory, "others may write to it"));
    }
    struct statfs system {};
    if (::statfs(directory.c_str(), &system) != 0) {
        return Unexpected(system_error("statfs " + directory.string(), errno));
    }
    for (const RemoteFileSystem& remote : kRemote) {
        if (static_cast<std::uint32_t>(system.f_type) == remote.magic) {
            return Unexpected(refused(directory, std::string("a queue cannot be kept on ") +
                                                     remote.name + ", only on a local disk"));
        }
    }
    return {};
}

Result<UniqueFd> lock_store(const std::filesystem::path& directory) {
    const std::filesystem::path file = directory / "queue.lock";
    UniqueFd fd(::open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
    if (!fd) return Unexpected(system_error("open " + file.string(), errno));
    if (::flock(fd.get(), LOCK_EX | LOCK_NB) != 0) {
        if (errno != EWOULDBLOCK) return Unexpected(system_error("lock " + file.string(), errno));
        return Unexpected(ErrorCode::Unavailable,
                          directory.string() + ": another process owns this queue");
    }
    return fd;
}

Result<void> prepare_file(const std::filesystem::path& file) {
    const UniqueFd created(
        ::open(file.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600));
    if (created) return sync_directory(file.parent_path());
    if (errno != EEXIST) return Unexpected(system_error("create " + file.string(), errno));
    struct stat status {};
    if (::lstat(file.c_str(), &status) != 0) {
        return Unexpected(system_error(file.string(), errno));
    }
    if (!S_ISREG(status.st_mode)) return Unexpected(refused(file, "not a regular file"));
    if (status.st_uid != ::geteuid()) {
        return Unexpected(
            refused(file, "owned by user " + std::to_string(status.st_uid) + ", not by us"));
    }
    if ((status.st_mode & 077) != 0) return Unexpected(refused(file, "others have access to it"));
    return {};
}

bool is_log_without_database(const std::filesystem::path& database,
                             const std::filesystem::path& log) {
    std::error_code gone;
    const auto size = std::filesystem::file_size(database, gone);
    if (!gone && size > 0) return false;
    // A reserve that was never written to is zeros; a log begins with one of two magic numbers.
    std::array<unsigned char, 4> begin{};
    const UniqueFd fd(::open(log.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
    if (!fd || ::read(fd.get(), begin.data(), begin.size()) != std::ssize(begin)) return false;
    return begin[0] == 0x37 && begin[1] == 0x7f && begin[2] == 0x06;
}

Result<void> occupy_standard_descriptors() {
    for (int fd = 0; fd <= 2; ++fd) {
        if (::fcntl(fd, F_GETFD) >= 0) continue;
        if (::open("/dev/null", O_RDWR) != fd) {
            return Unexpected(system_error("open /dev/null", errno));
        }
    }
    return {};
}

std::optional<FileIdentity> identity_of(const std::filesystem::path& file) {
    struct stat status {};
    if (::stat(file.c_str(), &status) != 0) return std::nullopt;
    return FileIdentity{status.st_dev, status.st_ino};
}

Result<std::uint64_t> free_space(const std::filesystem::path& directory) {
    struct statvfs status {};
    if (::statvfs(directory.c_str(), &status) != 0) {
        return Unexpected(system_error("statvfs " + directory.string(), errno));
    }
    return static_cast<std::uint64_t>(status.f_bavail) * status.f_frsize;
}

Result<void> extend_with_zeros(const std::filesystem::path& path, std::int64_t size,
                               const std::string& vfs) {
    if (auto done = prepare_file(path); !done) return done;
    return with_log_file(path, vfs, [&](sqlite3_file* file) { return extend(file, size); });
}

Result<void> write_again_and_sync(const std::filesystem::path& path, const std::string& vfs) {
    std::error_code unknown;
    if (!std::filesystem::exists(path, unknown)) return {};
    return with_log_file(path, vfs, write_again);
}

}  // namespace postrider::queue
