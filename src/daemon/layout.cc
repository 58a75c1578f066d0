#include "daemon/layout.h"

#include <cerrno>

#include <fcntl.h>
#include <pwd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fmt/format.h>

#include "daemon/keeper.h"

namespace postrider::daemon {
namespace {

namespace fs = std::filesystem;

/// Makes `path` a directory of exactly this mode and owner. Works on a descriptor, so that nobody
/// can put a link in its place between two steps.
Result<void> make_directory(const fs::path& path, mode_t mode, const Owner& owner) {
    if (::mkdir(path.c_str(), 0700) < 0 && errno != EEXIST) {
        return Unexpected(system_error("create " + path.native(), errno));
    }
    const UniqueFd directory(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    if (!directory) return Unexpected(system_error("open " + path.native(), errno));
    struct stat status {};
    if (::fstat(directory.get(), &status) < 0) {
        return Unexpected(system_error("examine " + path.native(), errno));
    }
    if (status.st_uid != owner.uid && status.st_uid != 0) {
        return Unexpected(ErrorCode::Denied,
                          fmt::format("{} belongs to user {}, not to {}; give it to {} or choose "
                                      "another queue_directory",
                                      path.native(), status.st_uid, owner.name, owner.name));
    }
    if (status.st_uid != owner.uid && ::fchown(directory.get(), owner.uid, owner.gid) < 0) {
        return Unexpected(system_error("give " + path.native() + " to " + owner.name, errno));
    }
    if ((status.st_mode & 07777) != mode && ::fchmod(directory.get(), mode) < 0) {
        return Unexpected(system_error("set the mode of " + path.native(), errno));
    }
    return {};
}

Result<void> make_parents(const fs::path& path) {
    std::error_code trouble;
    fs::create_directories(path.parent_path(), trouble);
    if (trouble) {
        return Unexpected(system_error("create " + path.parent_path().native(), trouble.value()));
    }
    return {};
}

struct flock everything() {
    struct flock all {};
    all.l_type = F_WRLCK;
    all.l_whence = SEEK_SET;
    return all;
}

Result<pid_t> holder_of(int file, const std::string& path) {
    struct flock all = everything();
    if (::fcntl(file, F_GETLK, &all) < 0) {
        return Unexpected(system_error("ask who locks " + path, errno));
    }
    if (all.l_type == F_UNLCK) {
        return Unexpected(ErrorCode::NotFound, "the mail system is not running");
    }
    if (all.l_pid > 0) return all.l_pid;
    return Unexpected(ErrorCode::Unavailable, path +
                                                  " is locked by a process that cannot be seen "
                                                  "from here, say one outside of a container");
}

}  // namespace

Result<Owner> find_owner(const std::string& mail_owner) {
    const bool root = ::geteuid() == 0;
    const passwd* account = root ? ::getpwnam(mail_owner.c_str()) : ::getpwuid(::geteuid());
    if (!account && root) {
        return Unexpected(ErrorCode::NotFound,
                          fmt::format("mail_owner: there is no account \"{0}\"; create it "
                                      "(adduser --system --group --home /nonexistent {0}) or name "
                                      "another in main.cf",
                                      mail_owner));
    }
    Owner owner;
    owner.uid = account ? account->pw_uid : ::geteuid();
    owner.gid = account ? account->pw_gid : ::getegid();
    owner.name = account ? account->pw_name : std::to_string(owner.uid);
    owner.change_to = root && owner.uid != 0;
    owner.serves_others = root || has_keeper();
    return owner;
}

std::string owner_warning(const Owner& owner, const std::string& mail_owner) {
    if (::geteuid() == 0 || owner.name == mail_owner) return "";
    return fmt::format(
        "mail_owner = {0} is not followed: started as {1}, which cannot become another account; "
        "with systemd, put User={0} into `systemctl edit postrider` and SocketUser={0} into "
        "`systemctl edit postrider-keeper.socket`",
        mail_owner, owner.name);
}

Result<void> prepare(const Layout& layout, const Owner& owner) {
    if (auto made = make_parents(layout.queue_directory); !made) return made;
    if (auto made = make_directory(layout.queue_directory, 0755, owner); !made) return made;
    const mode_t maildrop_mode = owner.serves_others ? 01733 : 0700;
    if (auto made = make_directory(layout.maildrop(), maildrop_mode, owner); !made) return made;
    if (auto made = make_directory(layout.queue_directory / "public", 0755, owner); !made) {
        return made;
    }
    return make_directory(layout.queue_directory / "pid", 0755, owner);
}

// Of this lock the kernel says whose it is: what the file says is for people and their scripts, and
// may be missing on a full disk. It ends with the first descriptor of the file that this process
// closes, so nothing else here opens it. Nobody else may open it, since who can may lock it.
Result<UniqueFd> take_master_lock(const Layout& layout, const Log& log) {
    const std::string path = layout.pid_file();
    UniqueFd file(
        ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600));
    if (!file) return Unexpected(system_error("open " + path, errno));
    // The directory is the owner's, this process may be root: no other file is written to by way of
    // a link.
    struct stat status {};
    if (::fstat(file.get(), &status) < 0 || !S_ISREG(status.st_mode) || status.st_nlink != 1) {
        return Unexpected(ErrorCode::Denied, path + " is not a file of its own");
    }
    struct flock all = everything();
    if (::fcntl(file.get(), F_SETLK, &all) < 0) {
        if (errno != EAGAIN && errno != EACCES) {
            return Unexpected(system_error("lock " + path, errno));
        }
        const auto other = holder_of(file.get(), path);
        return Unexpected(ErrorCode::Denied,
                          fmt::format("the mail system is already running on {}{}",
                                      layout.queue_directory.native(),
                                      other ? fmt::format(" (process {})", *other) : ""));
    }
    const std::string pid = fmt::format("{:>15}\n", ::getpid());
    const bool written =
        ::ftruncate(file.get(), 0) == 0 && ::pwrite(file.get(), pid.data(), pid.size(), 0) > 0;
    if (!written) {
        const Error error = system_error("write " + path, errno);
        if (error.code != ErrorCode::DiskFull) return Unexpected(error);
        log.warning(error.message + "; the mail system starts without it");
    }
    return file;
}

Result<pid_t> running_master(const Layout& layout) {
    const std::string path = layout.pid_file();
    const UniqueFd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
    if (!file) return Unexpected(system_error("open " + path, errno));
    return holder_of(file.get(), path);
}

}  // namespace postrider::daemon
