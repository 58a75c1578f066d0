#include "intake/drop.h"

#include <cerrno>
#include <ctime>
#include <utility>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/ascii.h"

namespace postrider::intake {
namespace {

constexpr int kNameAttempts = 100;
constexpr std::size_t kNameLengthMax = 64;

/// Time and process make a name unique among those that are complete; O_EXCL sees to the rest.
std::string unique_name(int attempt) {
    timespec now{};
    ::clock_gettime(CLOCK_REALTIME, &now);
    constexpr std::string_view digits = "0123456789ABCDEF";
    auto value = static_cast<std::uint64_t>(now.tv_sec) * 1000000 +
                 static_cast<std::uint64_t>(now.tv_nsec) / 1000;
    std::string name;
    for (; value > 0; value /= 16) name.insert(name.begin(), digits[value % 16]);
    return name + "p" + std::to_string(::getpid()) + "n" + std::to_string(attempt);
}

/// Makes the new name durable. Only the directory's owner may open it for reading; anybody else has
/// to sync the whole file system, which is the one other way POSIX and Linux leave.
Result<void> sync_name(const std::string& directory, int file) {
    const UniqueFd opened(::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (opened) {
        if (::fsync(opened.get()) != 0) return Unexpected(system_error("sync " + directory, errno));
        return {};
    }
    if (::syncfs(file) != 0) return Unexpected(system_error("sync " + directory, errno));
    return {};
}

/// A daemon that can read nobody else's files keeps its maildrop to itself. Root can write there
/// all the same, and then it has to be a file that the daemon can read.
Result<void> give_to_reader(const std::string& directory, int file) {
    struct stat status {};
    if (::stat(directory.c_str(), &status) != 0)
        return Unexpected(system_error("examine " + directory, errno));
    if ((status.st_mode & S_IWOTH) != 0 || status.st_uid == ::geteuid()) return {};
    if (::fchown(file, status.st_uid, status.st_gid) != 0)
        return Unexpected(system_error("give a message to the owner of " + directory, errno));
    return {};
}

/// How a file without a name is called where it is to get one.
std::string descriptor_path(int file) {
    return "/proc/self/fd/" + std::to_string(file);
}

}  // namespace

DropFile::DropFile(std::string directory, std::string name, UniqueFd file, bool is_nameless)
    : directory_(std::move(directory)),
      name_(std::move(name)),
      file_(std::move(file)),
      is_nameless_(is_nameless) {}

DropFile::DropFile(DropFile&&) noexcept = default;

DropFile::~DropFile() {
    if (file_ && !is_nameless_) ::unlink(temporary_path().c_str());
}

Result<DropFile> DropFile::create(const std::string& directory) {
    UniqueFd nameless(::open(directory.c_str(), O_TMPFILE | O_WRONLY | O_CLOEXEC, 0600));
    if (nameless && ::access(descriptor_path(nameless.get()).c_str(), F_OK) == 0) {
        ::fchmod(nameless.get(), 0600);  // Whatever the caller's umask.
        if (auto given = give_to_reader(directory, nameless.get()); !given)
            return Unexpected(std::move(given).error());
        return DropFile(directory, unique_name(0), std::move(nameless), true);
    }
    for (int attempt = 0; attempt < kNameAttempts; ++attempt) {
        std::string name = unique_name(attempt);
        const std::string path = directory + "/." + name;
        UniqueFd file(
            ::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
        if (file) {
            // The caller's umask may have taken the owner's own rights.
            ::fchmod(file.get(), 0600);
            DropFile made(directory, std::move(name), std::move(file), false);
            if (auto given = give_to_reader(directory, made.file_.get()); !given)
                return Unexpected(std::move(given).error());
            return made;
        }
        if (errno == EACCES) {
            return Unexpected(ErrorCode::Denied,
                              directory + " is its owner's alone, whose daemon reads no other's");
        }
        if (errno != EEXIST) return Unexpected(system_error("create " + path, errno));
    }
    return Unexpected(ErrorCode::Limit, directory + ": no unused name");
}

Result<void> DropFile::write(std::string_view bytes) {
    while (!bytes.empty()) {
        const ssize_t written = ::write(file_.get(), bytes.data(), bytes.size());
        if (written < 0 && errno == EINTR) continue;
        if (written < 0) return Unexpected(system_error("write " + temporary_path(), errno));
        bytes.remove_prefix(static_cast<std::size_t>(written));
    }
    return {};
}

Result<void> DropFile::give_name(const std::string& path) {
    if (is_nameless_) {
        const std::string source = descriptor_path(file_.get());
        if (::linkat(AT_FDCWD, source.c_str(), AT_FDCWD, path.c_str(), AT_SYMLINK_FOLLOW) != 0)
            return Unexpected(system_error("create " + path, errno));
        return {};
    }
    // Not link() and unlink(): a reader would see a link count of two (L7). The name is ours alone.
    if (::rename(temporary_path().c_str(), path.c_str()) != 0)
        return Unexpected(system_error("rename " + temporary_path(), errno));
    return {};
}

Result<std::string> DropFile::finish() {
    if (::fsync(file_.get()) != 0)
        return Unexpected(system_error("sync " + temporary_path(), errno));
    const std::string path = directory_ + "/" + name_;
    auto named = give_name(path);
    if (!named) return Unexpected(std::move(named).error());
    auto synced = sync_name(directory_, file_.get());
    if (!synced) {
        // What is not known to be durable was not accepted, and must not be sent behind the back of
        // a caller that was told so.
        ::unlink(path.c_str());
        return Unexpected(std::move(synced).error());
    }
    file_.reset();
    return name_;
}

bool is_drop_name(std::string_view name) {
    if (name.empty() || name.front() == '.' || name.size() > kNameLengthMax) return false;
    for (const char c : name) {
        if (!is_ascii_alnum(c)) return false;
    }
    return true;
}

Result<Drop> open_drop(int directory_fd, const std::string& name) {
    if (!is_drop_name(name)) return Unexpected(ErrorCode::Denied, "maildrop: not a message's name");
    Drop drop;
    drop.file.reset(::openat(directory_fd, name.c_str(),
                             O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC));
    if (!drop.file) {
        const int error = errno;
        if (error == ELOOP) return Unexpected(ErrorCode::Denied, "maildrop/" + name + ": a link");
        return Unexpected(system_error("open maildrop/" + name, error));
    }
    struct stat status {};
    if (::fstat(drop.file.get(), &status) != 0)
        return Unexpected(system_error("stat maildrop/" + name, errno));
    if (!S_ISREG(status.st_mode))
        return Unexpected(ErrorCode::Denied, "maildrop/" + name + ": not a regular file");
    if (status.st_nlink != 1)
        return Unexpected(ErrorCode::Denied, "maildrop/" + name + ": has another link");
    drop.uid = status.st_uid;
    drop.inode = status.st_ino;
    return drop;
}

}  // namespace postrider::intake
