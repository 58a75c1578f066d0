#include "daemon/confine.h"

#include <array>
#include <cerrno>
#include <cstring>
#include <memory>

#include <fcntl.h>
#include <grp.h>
#include <linux/landlock.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <fmt/format.h>
#include <seccomp.h>

#include "core/unique_fd.h"

namespace postrider::daemon {
namespace {

// Rights that Landlock's first version knows; later ones are added only where the kernel has them.
constexpr std::uint64_t kReadRights = LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR;
constexpr std::uint64_t kWriteRights = kReadRights | LANDLOCK_ACCESS_FS_WRITE_FILE |
                                       LANDLOCK_ACCESS_FS_REMOVE_FILE | LANDLOCK_ACCESS_FS_MAKE_REG;
constexpr std::uint64_t kAllRights = (LANDLOCK_ACCESS_FS_MAKE_SYM << 1) - 1;

void allow_beneath(int ruleset, const std::filesystem::path& path, std::uint64_t rights) {
    const UniqueFd parent(::open(path.c_str(), O_PATH | O_CLOEXEC));
    if (!parent) return;  // What is not there cannot be used.
    landlock_path_beneath_attr rule{};
    rule.allowed_access = rights;
    rule.parent_fd = parent.get();
    ::syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0);
}

struct FilterDeleter {
    void operator()(void* filter) const { seccomp_release(filter); }
};
using Filter = std::unique_ptr<void, FilterDeleter>;

// What any of our event loops needs once it is running.
constexpr auto kCommonCalls = std::to_array({
    SCMP_SYS(accept4),
    SCMP_SYS(brk),
    SCMP_SYS(clock_getres),
    SCMP_SYS(clock_gettime),
    SCMP_SYS(clock_nanosleep),
    SCMP_SYS(close),
    SCMP_SYS(dup),
    SCMP_SYS(dup3),
    SCMP_SYS(epoll_create1),
    SCMP_SYS(epoll_ctl),
    SCMP_SYS(epoll_pwait),
    SCMP_SYS(epoll_wait),
    SCMP_SYS(eventfd2),
    SCMP_SYS(exit),
    SCMP_SYS(exit_group),
    SCMP_SYS(fcntl),
    SCMP_SYS(fstat),
    SCMP_SYS(newfstatat),
    SCMP_SYS(futex),
    SCMP_SYS(getegid),
    SCMP_SYS(geteuid),
    SCMP_SYS(getgid),
    SCMP_SYS(getpeername),
    SCMP_SYS(getpid),
    SCMP_SYS(getrandom),
    SCMP_SYS(getsockname),
    SCMP_SYS(getsockopt),
    SCMP_SYS(gettid),
    SCMP_SYS(gettimeofday),
    SCMP_SYS(getuid),
    SCMP_SYS(ioctl),
    SCMP_SYS(lseek),
    SCMP_SYS(madvise),
    SCMP_SYS(mmap),
    SCMP_SYS(mprotect),
    SCMP_SYS(mremap),
    SCMP_SYS(munmap),
    SCMP_SYS(nanosleep),
    SCMP_SYS(poll),
    SCMP_SYS(ppoll),
    SCMP_SYS(read),
    SCMP_SYS(readv),
    SCMP_SYS(recvfrom),
    SCMP_SYS(recvmsg),
    SCMP_SYS(restart_syscall),
    SCMP_SYS(rseq),
    SCMP_SYS(rt_sigaction),
    SCMP_SYS(rt_sigprocmask),
    SCMP_SYS(rt_sigreturn),
    SCMP_SYS(sched_yield),
    SCMP_SYS(sendmsg),
    SCMP_SYS(sendto),
    SCMP_SYS(set_robust_list),
    SCMP_SYS(setsockopt),
    SCMP_SYS(shutdown),
    SCMP_SYS(sigaltstack),
    SCMP_SYS(sysinfo),
    SCMP_SYS(tgkill),
    SCMP_SYS(timerfd_create),
    SCMP_SYS(timerfd_settime),
    SCMP_SYS(uname),
    SCMP_SYS(write),
    SCMP_SYS(writev),
    SCMP_SYS(accept),
});

// The courier's own: its database, its connections, its storage thread.
constexpr auto kCourierCalls = std::to_array({
    SCMP_SYS(access),     SCMP_SYS(bind),       SCMP_SYS(clone),
    SCMP_SYS(clone3),     SCMP_SYS(connect),    SCMP_SYS(faccessat),
    SCMP_SYS(faccessat2), SCMP_SYS(fallocate),  SCMP_SYS(fchmod),
    SCMP_SYS(fchown),     SCMP_SYS(fdatasync),  SCMP_SYS(flock),
    SCMP_SYS(fstatfs),    SCMP_SYS(fsync),      SCMP_SYS(ftruncate),
    SCMP_SYS(getcwd),     SCMP_SYS(getdents64), SCMP_SYS(lstat),
    SCMP_SYS(membarrier), SCMP_SYS(open),       SCMP_SYS(openat),
    SCMP_SYS(pread64),    SCMP_SYS(preadv),     SCMP_SYS(prlimit64),
    SCMP_SYS(pwrite64),   SCMP_SYS(pwritev),    SCMP_SYS(readlink),
    SCMP_SYS(readlinkat), SCMP_SYS(rename),     SCMP_SYS(sched_getaffinity),
    SCMP_SYS(select),     SCMP_SYS(sendmmsg),   SCMP_SYS(socket),
    SCMP_SYS(socketpair), SCMP_SYS(stat),       SCMP_SYS(statfs),
    SCMP_SYS(statx),      SCMP_SYS(unlink),     SCMP_SYS(unlinkat),
    SCMP_SYS(utimensat),  SCMP_SYS(pselect6),   SCMP_SYS(pipe2),
    SCMP_SYS(prctl),
});

template <typename Calls>
bool allow(const Filter& filter, const Calls& calls) {
    for (const int call : calls) {
        if (seccomp_rule_add(filter.get(), SCMP_ACT_ALLOW, call, 0) < 0) return false;
    }
    return true;
}

}  // namespace

Result<void> drop_privileges(const Owner& owner) {
    if (owner.change_to) {
        if (::setgroups(0, nullptr) < 0 || ::setresgid(owner.gid, owner.gid, owner.gid) < 0 ||
            ::setresuid(owner.uid, owner.uid, owner.uid) < 0) {
            return Unexpected(system_error("become user " + owner.name, errno));
        }
        if (::setuid(0) == 0) {
            return Unexpected(ErrorCode::Denied, "privileges came back after they were given up");
        }
    }
    const rlimit none{0, 0};
    if (::setrlimit(RLIMIT_CORE, &none) < 0 || ::prctl(PR_SET_DUMPABLE, 0) < 0 ||
        ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0) {
        return Unexpected(system_error("give up core dumps and new privileges", errno));
    }
    return {};
}

void confine_files(const FileAccess& access, const Log& log) {
    landlock_ruleset_attr attributes{};
    attributes.handled_access_fs = kAllRights;
    const UniqueFd ruleset(static_cast<int>(
        ::syscall(SYS_landlock_create_ruleset, &attributes, sizeof attributes, 0)));
    if (!ruleset) {
        log.info(
            fmt::format("this kernel does not offer Landlock ({}): files are confined by "
                        "ownership alone",
                        std::strerror(errno)));
        return;
    }
    for (const auto& path : access.read) {
        const bool directory = std::filesystem::is_directory(path);
        allow_beneath(ruleset.get(), path, directory ? kReadRights : LANDLOCK_ACCESS_FS_READ_FILE);
    }
    for (const auto& path : access.write) allow_beneath(ruleset.get(), path, kWriteRights);
    if (::syscall(SYS_landlock_restrict_self, ruleset.get(), 0) < 0) {
        log.warning(fmt::format("confine files with Landlock: {}", std::strerror(errno)));
    }
}

Result<void> confine_system_calls(Role role, const Log& log) {
    // Sanitizers make calls of their own at any time; their builds are not for production.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    log.info("built with sanitizers: system calls are not confined");
    (void)role;
    return {};
#else
    (void)log;
    const Filter filter(seccomp_init(SCMP_ACT_KILL_PROCESS));
    if (!filter) return Unexpected(ErrorCode::Io, "confine system calls: no filter could be made");
    bool complete = allow(filter, kCommonCalls);
    if (role == Role::Courier) complete = complete && allow(filter, kCourierCalls);
    // Libraries ask the C library for files they can do without; a refusal is answer enough.
    if (role == Role::Intake) {
        for (const int call : {SCMP_SYS(open), SCMP_SYS(openat), SCMP_SYS(stat), SCMP_SYS(access),
                               SCMP_SYS(readlink), SCMP_SYS(socket), SCMP_SYS(connect)}) {
            complete =
                complete && seccomp_rule_add(filter.get(), SCMP_ACT_ERRNO(EPERM), call, 0) == 0;
        }
    }
    if (!complete) return Unexpected(ErrorCode::Io, "confine system calls: a rule was refused");
    if (const int code = seccomp_load(filter.get()); code < 0) {
        return Unexpected(system_error("confine system calls", -code));
    }
    return {};
#endif
}

}  // namespace postrider::daemon
