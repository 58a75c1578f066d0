// The queue's folder and files, as far as SQLite does not care for them.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

#include "core/result.h"
#include "core/unique_fd.h"

namespace postrider::queue {

inline std::filesystem::path database_file(const std::filesystem::path& directory) {
    return directory / "queue.db";
}
inline std::filesystem::path log_file(const std::filesystem::path& directory) {
    return directory / "queue.db-wal";
}

/// Refuses a folder that does not exist, that others may write to, that someone else owns, or that
/// lies on a file system whose locks and syncs cannot be trusted (R12).
Result<void> check_directory(const std::filesystem::path& directory);

/// A file that came or went did so for good only once its directory is synced. SQLite sees to this
/// for its log, not for a database that it finds.
Result<void> sync_directory(const std::filesystem::path& directory);

/// Takes the lock that proves no other process owns the queue: flock on `queue.lock`, a file of its
/// own, because closing any descriptor of queue.db would drop SQLite's locks (R9). Held as long as
/// the descriptor; Unavailable if another process has it.
Result<UniqueFd> lock_store(const std::filesystem::path& directory);

/// Creates the file, name synced, with mode 0600, if absent, before SQLite would with its own;
/// refuses one that others can read or that is not ours. Call only while no connection to it is
/// open.
Result<void> prepare_file(const std::filesystem::path& file);

/// Whether a log with frames lies there without its database, which is gone or empty. SQLite would
/// take it for a stranger's, throw it away and begin an empty queue.
bool is_log_without_database(const std::filesystem::path& database,
                             const std::filesystem::path& log);

/// Opens /dev/null on whichever of the descriptors 0 to 2 is closed, so that no store gets one of
/// them and is written to by a stray message (R9).
Result<void> occupy_standard_descriptors();

/// Tells a file from another of the same name; nothing if there is none.
struct FileIdentity {
    std::uint64_t device = 0;
    std::uint64_t inode = 0;
    bool operator==(const FileIdentity&) const = default;
};
std::optional<FileIdentity> identity_of(const std::filesystem::path& file);

/// Bytes that we may still use on that file system.
Result<std::uint64_t> free_space(const std::filesystem::path& directory);

/// Makes the file at least `size` bytes long, allocated and synced, by zeros at its end; creates it
/// with mode 0600. Through SQLite's file layer `vfs`. Call only while no connection is open.
Result<void> extend_with_zeros(const std::filesystem::path& file, std::int64_t size,
                               const std::string& vfs);

/// Writes every byte of the file again and syncs it, through SQLite's file layer `vfs`. After a
/// failed sync the kernel takes the pages for clean, and no later sync would write them (R5): this
/// makes them dirty again, so that success means what it says. Call only while no connection is
/// open. A file that does not exist is fine.
Result<void> write_again_and_sync(const std::filesystem::path& file, const std::string& vfs);

}  // namespace postrider::queue
