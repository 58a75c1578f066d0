// What a worker gives up before it meets the world: privileges, files, system calls.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "core/log.h"
#include "core/result.h"
#include "daemon/layout.h"

namespace postrider::daemon {

/// Becomes `owner` for good, with no capability, no way to gain any (no_new_privs), no core dumps,
/// unreadable through /proc. Without `owner.change_to` only the last three.
Result<void> drop_privileges(const Owner& owner);

/// The files a worker may still use, by path beneath which they lie.
struct FileAccess {
    std::vector<std::filesystem::path> read;
    std::vector<std::filesystem::path> write;
};

/// Confines the file system with Landlock. A kernel without it is logged, not fatal.
void confine_files(const FileAccess&, const Log& log);

/// Which system calls remain. Anything else ends the process (a bug or an intruder).
enum class Role {
    Intake,   ///< Meets strangers: no opening of files, no connecting, no new programs.
    Courier,  ///< Opens its database and connections; no new programs.
};
Result<void> confine_system_calls(Role, const Log& log);

}  // namespace postrider::daemon
