#include "daemon/drop_box.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdint>
#include <memory>

#include <dirent.h>
#include <fcntl.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fmt/format.h>

#include "daemon/keeper.h"
#include "intake/drop.h"

namespace postrider::daemon {
namespace {

// More is not held in memory; the rest is found by a later scan.
constexpr std::size_t kFilesMax = 10000;

/// A message that its writer alone can read is opened by the keeper, if there is one.
Result<intake::Drop> open_drop(int directory, const std::filesystem::path& maildrop,
                               const std::string& name) {
    auto opened = intake::open_drop(directory, name);
    if (opened || opened.error().code != ErrorCode::Denied || !has_keeper()) return opened;
    auto file = ask_keeper(maildrop / name);
    if (!file) return Unexpected(std::move(file).error());
    struct stat status {};
    if (::fstat(file->get(), &status) < 0) {
        return Unexpected(system_error("stat maildrop/" + name, errno));
    }
    intake::Drop drop;
    drop.uid = status.st_uid;
    drop.file = std::move(*file);
    return drop;
}

/// Whether anything has been dropped since the last call.
bool drain(int watch) {
    std::array<char, 4096> events;
    bool any = false;
    while (::read(watch, events.data(), events.size()) > 0) any = true;
    return any;
}

}  // namespace

Result<DropBox> DropBox::open(const std::filesystem::path& maildrop, const Log& log) {
    UniqueFd directory(::open(maildrop.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    if (!directory) return Unexpected(system_error("open " + maildrop.native(), errno));
    UniqueFd watch(::inotify_init1(IN_NONBLOCK | IN_CLOEXEC));
    // A message gets its name when it is complete, by link or by rename.
    constexpr std::uint32_t named = IN_CREATE | IN_MOVED_TO;
    if (!watch || ::inotify_add_watch(watch.get(), maildrop.c_str(), named) < 0) {
        return Unexpected(system_error("watch " + maildrop.native(), errno));
    }
    return DropBox(maildrop, std::move(directory), std::move(watch), log);
}

void DropBox::rescan() {
    for (auto& [name, file] : files_) {
        if (file.state == State::Refused) file.state = State::Waiting;
        file.not_before = MonotonicTime();
    }
    scan_due_ = true;
}

std::optional<DropBox::Dropped> DropBox::next(MonotonicTime now, pid_t holder) {
    if (drain(watch_.get()) || scan_due_) scan();
    const auto handed_out = std::count_if(files_.begin(), files_.end(), [](const auto& entry) {
        return entry.second.state == State::HandedOut;
    });
    if (static_cast<std::size_t>(handed_out) >= kHandedOutMax) return std::nullopt;

    for (auto entry = files_.begin(); entry != files_.end();) {
        const std::string& name = entry->first;
        File& file = entry->second;
        if (file.state != State::Waiting || file.not_before > now) {
            ++entry;
            continue;
        }
        auto opened = open_drop(directory_.get(), maildrop_, name);
        if (!opened && opened.error().code == ErrorCode::NotFound) {
            entry = files_.erase(entry);  // Its owner took it back.
            continue;
        }
        if (!opened) {
            log_.warning(opened.error().message);
            if (opened.error().code == ErrorCode::Unavailable) {
                file.not_before = now + kRetryDelay;  // Nobody has judged it.
            } else {
                file.state = State::Refused;
            }
            continue;
        }
        file.state = State::HandedOut;
        file.holder = holder;
        Dropped dropped;
        dropped.name = name;
        dropped.uid = opened->uid;
        dropped.file = std::move(opened->file);
        return dropped;
    }
    return std::nullopt;
}

std::optional<MonotonicTime> DropBox::wake_at() const {
    std::optional<MonotonicTime> earliest;
    for (const auto& [name, file] : files_) {
        if (file.state != State::Waiting) continue;
        if (!earliest || file.not_before < *earliest) earliest = file.not_before;
    }
    return earliest;
}

bool DropBox::is_empty() const {
    return !scan_due_ && std::all_of(files_.begin(), files_.end(), [](const auto& file) {
        return file.second.state == State::Refused;
    });
}

void DropBox::taken(const std::string& name) {
    if (files_.erase(name) == 0) return;
    if (::unlinkat(directory_.get(), name.c_str(), 0) < 0 && errno != ENOENT) {
        // It is in the queue: were it offered again, its recipients would get it twice.
        log_.warning(system_error("remove maildrop/" + name, errno).message);
        files_[name].state = State::Refused;
    }
}

void DropBox::refused(const std::string& name) {
    log_.warning(fmt::format("maildrop/{} cannot be accepted and stays where it is", name));
    files_[name].state = State::Refused;
}

void DropBox::later(const std::string& name, MonotonicTime now) {
    File& file = files_[name];
    file.state = State::Waiting;
    file.not_before = now + kRetryDelay;
}

void DropBox::lost(pid_t holder) {
    for (auto& [name, file] : files_) {
        if (file.state == State::HandedOut && file.holder == holder) file.state = State::Waiting;
    }
}

void DropBox::scan() {
    scan_due_ = false;
    // A descriptor of its own: the position of a directory being read belongs to the open file.
    const int copy = ::openat(directory_.get(), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (copy < 0) return;
    const std::unique_ptr<DIR, int (*)(DIR*)> directory(::fdopendir(copy), ::closedir);
    if (!directory) return;
    while (const dirent* entry = ::readdir(directory.get())) {
        if (!intake::is_drop_name(entry->d_name)) continue;
        if (files_.size() >= kFilesMax) break;
        files_.try_emplace(entry->d_name);
    }
}

}  // namespace postrider::daemon
