// maildrop/: what sendmail left while no daemon was there to take it.
#pragma once

#include <filesystem>
#include <map>
#include <optional>
#include <string>

#include <sys/types.h>

#include "core/clock.h"
#include "core/log.h"
#include "core/result.h"
#include "core/unique_fd.h"

namespace postrider::daemon {

/// Watches maildrop/ and hands out its files, each to be taken once. The master alone touches the
/// directory: intake gets descriptors.
class DropBox {
public:
    static constexpr std::size_t kHandedOutMax = 16;
    static constexpr std::chrono::seconds kRetryDelay{60};

    /// Opens the directory and begins to watch it.
    static Result<DropBox> open(const std::filesystem::path& maildrop, const Log& log);

    /// Readable when something may have been dropped: call scan().
    int watch() const { return watch_.get(); }
    /// Forgets refusals and delays, and looks again.
    void rescan();

    struct Dropped {
        std::string name;
        std::int64_t uid = -1;
        UniqueFd file;
    };
    /// The next file for process `holder` to take, nothing if there is none (now).
    std::optional<Dropped> next(MonotonicTime now, pid_t holder);
    /// When next() should be asked again although nothing was dropped; nothing if never.
    std::optional<MonotonicTime> wake_at() const;

    /// Nothing is there but what was refused.
    bool is_empty() const;

    void taken(const std::string& name);
    /// It will never be accepted: it stays, and is not offered again until rescan().
    void refused(const std::string& name);
    void later(const std::string& name, MonotonicTime now);
    /// The holder is gone and will not say what became of what it was given.
    void lost(pid_t holder);

private:
    enum class State { Waiting, HandedOut, Refused };
    struct File {
        State state = State::Waiting;
        ino_t inode = 0;  ///< Of what was handed out.
        MonotonicTime not_before;
        pid_t holder = -1;
    };

    DropBox(std::filesystem::path maildrop, UniqueFd directory, UniqueFd watch, const Log& log)
        : maildrop_(std::move(maildrop)),
          directory_(std::move(directory)),
          watch_(std::move(watch)),
          log_(log) {}
    void scan();
    void refuse(File&);
    void tell(const std::string& why) const;
    File* handed_out(const std::string& name);

    std::filesystem::path maildrop_;
    UniqueFd directory_;
    UniqueFd watch_;
    Log log_;
    std::map<std::string, File> files_;
    std::size_t refused_ = 0;  ///< Of files_.
    bool scan_due_ = true;
    bool more_ = false;  ///< The latest scan did not get to the end.
    MonotonicTime rest_at_;
};

}  // namespace postrider::daemon
