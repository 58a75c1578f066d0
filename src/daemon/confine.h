// What a worker gives up before it meets the world: privileges, files, system calls.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "core/log.h"
#include "core/result.h"
#include "daemon/layout.h"

namespace postrider::daemon {

/// For the master, once its doors are open: keeps of root's capabilities those that opening other
/// accounts' files, starting workers as another user and ending them take, and none when another
/// account started us. No new privileges, no core dumps, for it and all its workers.
Result<void> keep_master_privileges();

/// Whether this process would hand capabilities to a program that it starts: a service manager gave
/// them to an account that is not root's.
bool has_ambient_privileges();
/// Gives those up, by starting the same program again with the sockets that they were needed for,
/// handed over as a service manager would: so no system call that changes privileges need be
/// allowed. `are_kept_open` is that of Doors. Returns only when that fails.
Result<void> start_anew_without_privileges(std::vector<int> sockets, bool are_kept_open,
                                           char** arguments);

/// Becomes `owner` for good, with no capability, no way to gain any (no_new_privs), no core dumps,
/// unreadable through /proc. Without `owner.change_to` the account stays what it is.
Result<void> drop_privileges(const Owner& owner);

/// What a worker is, and so what it may still do.
enum class Role {
    Intake,   ///< Meets strangers: no opening of files, no connecting, no new programs.
    Courier,  ///< Opens its database and connections; no new programs.
};

/// The files a worker may still use, by path beneath which they lie.
struct FileAccess {
    std::vector<std::filesystem::path> read;   ///< Files, not lists of them.
    std::vector<std::filesystem::path> write;  ///< Made, changed, removed; not moved elsewhere.
};

/// Confines with Landlock, as far as the kernel knows how: files to `access`; TCP to connecting
/// (courier) or nothing (intake); signals and abstract sockets to this process. A kernel without
/// Landlock is logged, not fatal.
void confine_reach(Role, const FileAccess& access, const Log& log);

/// Which system calls remain. Opening a file is refused where it is forbidden; anything else that
/// is not on the list ends the process (a bug or an intruder).
Result<void> confine_system_calls(Role, const Log& log);

}  // namespace postrider::daemon
