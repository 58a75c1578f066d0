#include "table/file_trust.h"

#include <cerrno>
#include <cstdlib>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/settled_file.h"

namespace postrider::table {
namespace {

bool is_trusted(uid_t owner, const OpenOptions& options) {
    return owner == 0 || owner == ::geteuid() || owner == options.trusted_owner;
}

bool others_can_write(mode_t mode) {
    return (mode & (S_IWGRP | S_IWOTH)) != 0;
}

Unexpected refused(const std::string& path, const std::string& why, const std::string& command) {
    return Unexpected(ErrorCode::Denied,
                      path + " holds a secret and " + why + "; mend it with: " + command);
}

}  // namespace

bool needs_opener(const std::string& path, const OpenOptions& options) {
    return options.opener && ::faccessat(AT_FDCWD, path.c_str(), R_OK, AT_EACCESS) < 0 &&
           errno == EACCES;
}

std::string parent_directory(const std::string& path) {
    const std::size_t slash = path.rfind('/');
    if (slash == std::string::npos) return ".";
    return slash == 0 ? "/" : path.substr(0, slash);
}

Result<UniqueFd> open_source(const std::string& path, const OpenOptions& options) {
    UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY));
    if (!fd && errno == EACCES && options.opener) return options.opener(path);
    if (!fd) return Unexpected(system_error("open " + path, errno));
    // Half a table is a table, too. The daemon sees the writer close it, and reads it then.
    if (!keep_writers_off(fd.get())) {
        return Unexpected(ErrorCode::Unavailable, path + " is being written to");
    }
    return fd;
}

bool is_own_directory(const std::string& path, const OpenOptions& options) {
    struct stat status {};
    if (::stat(parent_directory(path).c_str(), &status) != 0) return false;
    return is_trusted(status.st_uid, options) && !others_can_write(status.st_mode);
}

Result<std::vector<std::string>> check_trust(const std::string& path, int fd,
                                             const OpenOptions& options) {
    std::vector<std::string> concerns;
    if (!options.secret) return concerns;
    struct stat status {};
    if (::fstat(fd, &status) != 0) return Unexpected(system_error("stat " + path, errno));
    struct stat link {};
    if (::lstat(path.c_str(), &link) != 0) return Unexpected(system_error("stat " + path, errno));
    if (S_ISLNK(link.st_mode))
        return refused(path, "is a symbolic link, which whoever owns it could turn elsewhere",
                       "name the file itself in the configuration");
    if (link.st_dev != status.st_dev || link.st_ino != status.st_ino)
        return Unexpected(ErrorCode::Unavailable, path + " was replaced while it was opened");
    if (!is_trusted(status.st_uid, options))
        return refused(path, "belongs to user " + std::to_string(status.st_uid),
                       "chown root " + path);
    if (others_can_write(status.st_mode))
        return refused(path, "can be written by others than its owner", "chmod go= " + path);

    const std::string directory = parent_directory(path);
    struct stat parent {};
    if (::stat(directory.c_str(), &parent) != 0)
        return Unexpected(system_error("stat " + directory, errno));
    if (!is_trusted(parent.st_uid, options))
        return refused(path, "lies in a directory of user " + std::to_string(parent.st_uid),
                       "chown root " + directory);
    // In a sticky directory nobody but the file's owner can put something else in its place.
    if (others_can_write(parent.st_mode) && (parent.st_mode & S_ISVTX) == 0)
        return refused(path, "lies in a directory that others can write",
                       "chmod go-w " + directory);

    if ((status.st_mode & (S_IRGRP | S_IROTH)) != 0)
        concerns.push_back(
            path + " holds a secret and can be read by others; mend it with: chmod go= " + path);
    return concerns;
}

}  // namespace postrider::table
