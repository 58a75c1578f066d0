// The system calls that are left to a worker.
#include <array>
#include <cerrno>
#include <memory>
#include <span>

#include <fcntl.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <seccomp.h>

#include "daemon/confine.h"

namespace postrider::daemon {

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)

Result<void> confine_system_calls(Role, const Log& log) {
    // Sanitizers make calls of their own at any time; their builds are not for production.
    log.info("built with sanitizers: system calls are not confined");
    return {};
}

#else

namespace {

// What an event loop needs once it is running: its clients, its memory, its end.
constexpr auto kCommonCalls = std::to_array({
    SCMP_SYS(accept4),
    SCMP_SYS(brk),
    SCMP_SYS(clock_getres),
    SCMP_SYS(clock_gettime),
    SCMP_SYS(close),
    SCMP_SYS(epoll_ctl),
    SCMP_SYS(epoll_pwait),
    SCMP_SYS(epoll_wait),
    SCMP_SYS(exit),
    SCMP_SYS(exit_group),
    SCMP_SYS(fstat),
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
    SCMP_SYS(lseek),
    SCMP_SYS(madvise),
    SCMP_SYS(mremap),
    SCMP_SYS(munmap),
    SCMP_SYS(poll),
    SCMP_SYS(ppoll),
    SCMP_SYS(read),
    SCMP_SYS(readv),
    SCMP_SYS(recvfrom),
    SCMP_SYS(recvmsg),
    SCMP_SYS(restart_syscall),
    SCMP_SYS(rt_sigaction),
    SCMP_SYS(rt_sigprocmask),
    SCMP_SYS(rt_sigreturn),
    SCMP_SYS(sched_yield),
    SCMP_SYS(sendmsg),
    SCMP_SYS(sendto),
    SCMP_SYS(setsockopt),
    SCMP_SYS(shutdown),
    SCMP_SYS(timerfd_settime),
    SCMP_SYS(write),
    SCMP_SYS(writev),
});

// The courier's own: its database, its connections, its storage thread. It is confined before it
// makes its event loop.
constexpr auto kCourierCalls = std::to_array({
    SCMP_SYS(access),          SCMP_SYS(bind),       SCMP_SYS(clock_nanosleep),
    SCMP_SYS(connect),         SCMP_SYS(dup),        SCMP_SYS(epoll_create1),
    SCMP_SYS(eventfd2),        SCMP_SYS(faccessat),  SCMP_SYS(faccessat2),
    SCMP_SYS(fchmod),          SCMP_SYS(fchown),     SCMP_SYS(fdatasync),
    SCMP_SYS(flock),           SCMP_SYS(fstatfs),    SCMP_SYS(fsync),
    SCMP_SYS(ftruncate),       SCMP_SYS(getcwd),     SCMP_SYS(lstat),
    SCMP_SYS(nanosleep),       SCMP_SYS(newfstatat), SCMP_SYS(open),
    SCMP_SYS(openat),          SCMP_SYS(pread64),    SCMP_SYS(pwrite64),
    SCMP_SYS(readlink),        SCMP_SYS(readlinkat), SCMP_SYS(rseq),
    SCMP_SYS(set_robust_list), SCMP_SYS(stat),       SCMP_SYS(statfs),
    SCMP_SYS(statx),           SCMP_SYS(sysinfo),    SCMP_SYS(timerfd_create),
    SCMP_SYS(uname),           SCMP_SYS(unlink),     SCMP_SYS(unlinkat),
    SCMP_SYS(fallocate),
});

// Libraries ask for files they can do without; a refusal is answer enough.
constexpr auto kRefusedToIntake = std::to_array({
    SCMP_SYS(access),
    SCMP_SYS(faccessat),
    SCMP_SYS(faccessat2),
    SCMP_SYS(lstat),
    SCMP_SYS(open),
    SCMP_SYS(openat),
    SCMP_SYS(readlink),
    SCMP_SYS(readlinkat),
    SCMP_SYS(stat),
    SCMP_SYS(statx),
});

struct FilterDeleter {
    void operator()(void* filter) const { seccomp_release(filter); }
};

/// A filter in the making; remembers whether every rule was taken.
class Filter {
public:
    Filter() : filter_(seccomp_init(SCMP_ACT_KILL_PROCESS)), complete_(filter_ != nullptr) {}

    template <typename... Conditions>
    void rule(std::uint32_t action, int call, Conditions... conditions) {
        complete_ = complete_ && seccomp_rule_add(filter_.get(), action, call,
                                                  sizeof...(conditions), conditions...) == 0;
    }
    template <typename... Conditions>
    void allow(int call, Conditions... conditions) {
        rule(SCMP_ACT_ALLOW, call, conditions...);
    }

    Result<void> load() const {
        if (!complete_)
            return Unexpected(ErrorCode::Io, "confine system calls: a rule was refused");
        if (const int code = seccomp_load(filter_.get()); code < 0) {
            return Unexpected(system_error("confine system calls", -code));
        }
        return {};
    }

private:
    std::unique_ptr<void, FilterDeleter> filter_;
    bool complete_;
};

scmp_arg_cmp equals(unsigned argument, std::uint64_t value) {
    return {argument, SCMP_CMP_EQ, value, 0};
}
scmp_arg_cmp has_bits(unsigned argument, std::uint64_t mask, std::uint64_t bits) {
    return {argument, SCMP_CMP_MASKED_EQ, mask, bits};
}

/// Calls that are harmless with some arguments only.
void allow_in_part(Filter& filter) {
    // Memory is never both data and program.
    filter.allow(SCMP_SYS(mmap), has_bits(2, PROT_EXEC, 0));
    filter.allow(SCMP_SYS(mprotect), has_bits(2, PROT_EXEC, 0));
    // A terminal on our descriptors takes input by ioctl(2). Only numbers of 32 bits are compared
    // by the kernel.
    for (const unsigned request : {FIONBIO, FIONREAD}) {
        filter.allow(SCMP_SYS(ioctl), has_bits(1, 0xffffffff, request));
    }
    for (const unsigned request : {TCGETS, TIOCGWINSZ}) {
        filter.rule(SCMP_ACT_ERRNO(ENOTTY), SCMP_SYS(ioctl), has_bits(1, 0xffffffff, request));
    }
    for (const int command : {F_GETFD, F_SETFD, F_GETFL, F_SETFL, F_DUPFD_CLOEXEC}) {
        filter.allow(SCMP_SYS(fcntl), equals(1, static_cast<std::uint64_t>(command)));
    }
    // abort(3).
    filter.allow(SCMP_SYS(tgkill), equals(0, static_cast<std::uint64_t>(::getpid())));
}

void allow_in_part_to_intake(Filter& filter) {
    // The status of what is open already; nothing by name.
    filter.allow(SCMP_SYS(newfstatat), has_bits(3, AT_EMPTY_PATH, AT_EMPTY_PATH));
    filter.rule(SCMP_ACT_ERRNO(EPERM), SCMP_SYS(newfstatat), has_bits(3, AT_EMPTY_PATH, 0));
}

void allow_in_part_to_courier(Filter& filter) {
    // Threads, not processes. A filter cannot see the flags of clone3; the C library can do
    // without.
    filter.rule(SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3));
    filter.allow(SCMP_SYS(clone), has_bits(0, CLONE_THREAD, CLONE_THREAD));
    for (const int family : {AF_INET, AF_INET6, AF_NETLINK}) {
        filter.allow(SCMP_SYS(socket), equals(0, static_cast<std::uint64_t>(family)));
    }
    filter.rule(SCMP_ACT_ERRNO(EAFNOSUPPORT), SCMP_SYS(socket), equals(0, AF_UNIX));
    for (const int command : {F_GETLK, F_SETLK, F_SETLKW}) {
        filter.allow(SCMP_SYS(fcntl), equals(1, static_cast<std::uint64_t>(command)));
    }
    filter.allow(SCMP_SYS(prctl), equals(0, PR_SET_NAME));
    filter.allow(SCMP_SYS(prlimit64), equals(2, 0));  // Limits are read, not set.
}

}  // namespace

Result<void> confine_system_calls(Role role, const Log&) {
    Filter filter;
    for (const int call : kCommonCalls) filter.allow(call);
    allow_in_part(filter);
    if (role == Role::Courier) {
        for (const int call : kCourierCalls) filter.allow(call);
        allow_in_part_to_courier(filter);
    } else {
        for (const int call : kRefusedToIntake) filter.rule(SCMP_ACT_ERRNO(EPERM), call);
        allow_in_part_to_intake(filter);
    }
    return filter.load();
}

#endif

}  // namespace postrider::daemon
