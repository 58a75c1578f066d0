// Notices when a file that the workers have read is rewritten, or replaced by another.
#pragma once

#include <chrono>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "config/config.h"
#include "core/clock.h"
#include "core/result.h"
#include "core/unique_fd.h"

namespace postrider::daemon {

/// A file, and the table it belongs to: `hash:/etc/postrider/aliases`.
struct TableFile {
    std::filesystem::path path;
    std::string table;
};

/// The tables that the configuration names, with their indexes, and the accounts of the machine.
std::vector<TableFile> table_files(const config::Config&);

/// Watches the directories of files, because editors and postmap put another file in the place of
/// the old one. A change is told once nothing more has happened for kQuiet.
class TableWatch {
public:
    static constexpr std::chrono::seconds kQuiet{1};
    static constexpr std::size_t kFilesMax = 256;  ///< Further ones are not watched.

    /// Leaves out what cannot be watched, such as files in directories that do not exist.
    static Result<TableWatch> open(const std::vector<TableFile>& files);

    /// Readable when changed() should be called.
    int watch() const { return watch_.get(); }
    /// A table that has changed, once all is quiet; nothing if there is none (now).
    std::optional<std::string> changed(MonotonicTime now);
    /// When changed() should be called although nothing more has happened.
    std::optional<MonotonicTime> wake_at() const { return quiet_at_; }

private:
    explicit TableWatch(UniqueFd watch) : watch_(std::move(watch)) {}
    void take_events(MonotonicTime now);

    UniqueFd watch_;
    std::map<int, std::map<std::string, std::string>> tables_;  ///< By directory, by file name.
    std::string changed_;
    std::optional<MonotonicTime> quiet_at_;
};

}  // namespace postrider::daemon
