#include "daemon/confine.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <memory>

#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <fmt/format.h>

#include "core/unique_fd.h"
#include "daemon/service_manager.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#include <sanitizer/common_interface_defs.h>
#endif

namespace postrider::daemon {
namespace {

using Capabilities = std::uint64_t;

constexpr Capabilities capability(int number) {
    return Capabilities{1} << number;
}

// Drops lie in a sticky directory and belong to others (DAC_OVERRIDE, FOWNER); an index that is
// written anew belongs to its source's owner (CHOWN).
constexpr Capabilities kMasterCapabilities = capability(CAP_CHOWN) | capability(CAP_DAC_OVERRIDE) |
                                             capability(CAP_FOWNER) | capability(CAP_KILL) |
                                             capability(CAP_SETGID) | capability(CAP_SETUID);

Result<void> keep_capabilities(Capabilities wanted) {
    __user_cap_header_struct header{};
    header.version = _LINUX_CAPABILITY_VERSION_3;
    std::array<__user_cap_data_struct, 2> sets{};
    if (::syscall(SYS_capget, &header, sets.data()) < 0) {
        return Unexpected(system_error("look at capabilities", errno));
    }
    // A service manager's filter need not allow a call that changes nothing. What is inheritable
    // and no more is nothing: programs with capabilities of their own gain none without new
    // privileges.
    const bool has_none =
        std::all_of(sets.begin(), sets.end(), [](const auto& set) { return set.permitted == 0; });
    if (has_none) return {};
    for (std::size_t i = 0; i < sets.size(); ++i) {
        const auto word = static_cast<std::uint32_t>(wanted >> (32 * i));
        sets[i].permitted &= word;
        sets[i].effective = sets[i].permitted;
        sets[i].inheritable = 0;
    }
    // Kernels without ambient capabilities have none to clear.
    ::prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
    if (::syscall(SYS_capset, &header, sets.data()) < 0) {
        return Unexpected(system_error("give up capabilities", errno));
    }
    return {};
}

/// What a new program could gain. Nothing depends on it where there are no new privileges.
void empty_bounding_set() {
    for (int number = 0; ::prctl(PR_CAPBSET_READ, number, 0, 0, 0) >= 0; ++number) {
        ::prctl(PR_CAPBSET_DROP, number, 0, 0, 0);
    }
}

Result<void> seal() {
    const rlimit none{0, 0};
    if (::setrlimit(RLIMIT_CORE, &none) < 0 || ::prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0 ||
        ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0) {
        return Unexpected(system_error("give up core dumps and new privileges", errno));
    }
    return {};
}

// Landlock, as of its seventh version. The distribution's header may be older than the kernel.
struct Ruleset {
    std::uint64_t files;
    std::uint64_t network;  ///< From the fourth version on.
    std::uint64_t scope;    ///< From the sixth version on.
};
struct __attribute__((packed)) BeneathRule {
    std::uint64_t rights;
    std::int32_t parent;
};
struct PortRule {
    std::uint64_t rights;
    std::uint64_t port;
};
constexpr unsigned kAskVersion = 1;
constexpr int kBeneath = 1;
constexpr int kPort = 2;

constexpr std::uint64_t kWriteFile = 1 << 1;
constexpr std::uint64_t kReadFile = 1 << 2;
constexpr std::uint64_t kReadDirectory = 1 << 3;
constexpr std::uint64_t kRemoveFile = 1 << 5;
constexpr std::uint64_t kMakeFile = 1 << 8;
constexpr std::uint64_t kMoveElsewhere = 1 << 13;  ///< Second version.
constexpr std::uint64_t kTruncate = 1 << 14;       ///< Third.
constexpr std::uint64_t kDeviceControl = 1 << 15;  ///< Fifth.
constexpr std::uint64_t kFirstVersion = kMoveElsewhere - 1;
constexpr std::uint64_t kBindTcp = 1;
constexpr std::uint64_t kConnectTcp = 2;
constexpr std::uint64_t kAbstractSockets = 1;
constexpr std::uint64_t kSignals = 2;

Ruleset everything_known_to(long version) {
    Ruleset rules{kFirstVersion, 0, 0};
    if (version >= 2) rules.files |= kMoveElsewhere;
    if (version >= 3) rules.files |= kTruncate;
    if (version >= 4) rules.network = kBindTcp | kConnectTcp;
    if (version >= 5) rules.files |= kDeviceControl;
    if (version >= 6) rules.scope = kAbstractSockets | kSignals;
    return rules;
}

std::size_t size_known_to(long version) {
    return version >= 6   ? sizeof(Ruleset)
           : version >= 4 ? offsetof(Ruleset, scope)
                          : offsetof(Ruleset, network);
}

/// A sanitizer writes its report where log_path of its options says: it opens that file now, as it
/// could not when it has something to say.
void open_sanitizers_report() {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    __sanitizer_get_report_path();
#endif
}

bool allow_beneath(int ruleset, const std::filesystem::path& path, std::uint64_t rights) {
    const UniqueFd parent(::open(path.c_str(), O_PATH | O_CLOEXEC));
    if (!parent) return true;  // What is not there cannot be used.
    const BeneathRule rule{rights, parent.get()};
    return ::syscall(SYS_landlock_add_rule, ruleset, kBeneath, &rule, 0) == 0;
}

}  // namespace

Result<void> keep_master_privileges() {
    empty_bounding_set();
    if (auto kept = keep_capabilities(::geteuid() == 0 ? kMasterCapabilities : 0); !kept) {
        return kept;
    }
    return seal();
}

Result<void> drop_privileges(const Owner& owner) {
    if (owner.change_to) {
        if (::setgroups(0, nullptr) < 0 || ::setresgid(owner.gid, owner.gid, owner.gid) < 0 ||
            ::setresuid(owner.uid, owner.uid, owner.uid) < 0) {
            return Unexpected(system_error("become user " + owner.name, errno));
        }
    }
    if (auto kept = keep_capabilities(0); !kept) return kept;
    if (owner.change_to && (::setuid(0) == 0 || (owner.gid != 0 && ::setgid(0) == 0))) {
        return Unexpected(ErrorCode::Denied, "privileges came back after they were given up");
    }
    // Last: a change of user makes a process dumpable or not by rules of its own.
    return seal();
}

Result<void> start_anew_without_privileges(std::vector<int> sockets, bool are_kept_open,
                                           char** arguments) {
    ::prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
    // Out of the way first: one socket's new place may be where another one is.
    constexpr int kFirst = 3;
    const int beyond = kFirst + static_cast<int>(sockets.size());
    for (int& socket : sockets) socket = ::fcntl(socket, F_DUPFD_CLOEXEC, beyond);
    for (std::size_t i = 0; i < sockets.size(); ++i) {
        if (sockets[i] < 0 || ::dup2(sockets[i], kFirst + static_cast<int>(i)) < 0) {
            return Unexpected(system_error("hand sockets over", errno));
        }
    }
    ::setenv("LISTEN_PID", std::to_string(::getpid()).c_str(), 1);
    ::setenv("LISTEN_FDS", std::to_string(sockets.size()).c_str(), 1);
    if (!are_kept_open) ::setenv("LISTEN_FDNAMES", std::string(kOwnSockets).c_str(), 1);
    std::error_code trouble;
    const auto program = std::filesystem::read_symlink("/proc/self/exe", trouble);
    if (!trouble) ::execv(program.c_str(), arguments);
    return Unexpected(system_error("start " + program.native() + " anew", errno));
}

bool has_ambient_privileges() {
    for (int number = 0;; ++number) {
        const int is_set = ::prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, number, 0, 0);
        if (is_set != 0) return is_set > 0;
    }
}

void confine_reach(Role role, const FileAccess& access, const Log& log) {
    open_sanitizers_report();
    const long version = ::syscall(SYS_landlock_create_ruleset, nullptr, 0, kAskVersion);
    if (version < 1) {
        log.info(
            fmt::format("this kernel does not offer Landlock ({}): files are confined by "
                        "ownership alone",
                        std::strerror(errno)));
        return;
    }
    Ruleset rules = everything_known_to(version);
    if (role == Role::Courier) rules.network &= kBindTcp;  // It may connect to any port.
    const UniqueFd ruleset(static_cast<int>(
        ::syscall(SYS_landlock_create_ruleset, &rules, size_known_to(version), 0)));
    bool complete = static_cast<bool>(ruleset);
    for (const auto& path : access.read) {
        complete = complete && allow_beneath(ruleset.get(), path, kReadFile);
    }
    const std::uint64_t write =
        kReadFile | kReadDirectory | kWriteFile | kRemoveFile | kMakeFile | kTruncate;
    for (const auto& path : access.write) {
        complete = complete && allow_beneath(ruleset.get(), path, write & rules.files);
    }
    if (rules.network & kBindTcp && role == Role::Courier) {
        const PortRule chosen_by_kernel{kBindTcp, 0};
        complete = complete && ::syscall(SYS_landlock_add_rule, ruleset.get(), kPort,
                                         &chosen_by_kernel, 0) == 0;
    }
    if (!complete || ::syscall(SYS_landlock_restrict_self, ruleset.get(), 0) < 0) {
        log.warning(fmt::format("confine files with Landlock: {}", std::strerror(errno)));
    }
}

}  // namespace postrider::daemon
