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

// More is not held in memory; the rest is found by a later scan. What was refused counts by itself:
// whoever fills the directory with rubbish must not hide other people's mail behind it.
constexpr std::size_t kFilesMax = 10000;
constexpr std::size_t kRefusedMax = 50000;
// Of so many the log speaks one by one.
constexpr std::size_t kToldMax = 1000;
// From one part of a directory full of rubbish to the next.
constexpr std::chrono::seconds kRestDelay{1};

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
    drop.inode = status.st_ino;
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
    refused_ = 0;
    scan_due_ = true;
}

void DropBox::refuse(File& file) {
    file.state = State::Refused;
    ++refused_;
}

/// What intake speaks of. Only what it was given: it must not choose names for us.
DropBox::File* DropBox::handed_out(const std::string& name) {
    const auto found = files_.find(name);
    if (found == files_.end() || found->second.state != State::HandedOut) return nullptr;
    return &found->second;
}

std::optional<DropBox::Dropped> DropBox::next(MonotonicTime now, pid_t holder) {
    const bool rest_is_due = more_ && files_.size() == refused_ && now >= rest_at_;
    if (drain(watch_.get()) || scan_due_ || rest_is_due) scan();
    const auto under_way = std::count_if(files_.begin(), files_.end(), [](const auto& entry) {
        return entry.second.state == State::HandedOut;
    });
    if (static_cast<std::size_t>(under_way) >= kHandedOutMax) return std::nullopt;

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
            tell(opened.error().message);
            if (opened.error().code == ErrorCode::Unavailable) {
                file.not_before = now + kRetryDelay;  // Nobody has judged it.
            } else {
                refuse(file);
            }
            continue;
        }
        file.state = State::HandedOut;
        file.holder = holder;
        file.inode = opened->inode;
        Dropped dropped;
        dropped.name = name;
        dropped.uid = opened->uid;
        dropped.file = std::move(opened->file);
        return dropped;
    }
    rest_at_ = now + kRestDelay;
    return std::nullopt;
}

void DropBox::tell(const std::string& why) const {
    if (refused_ < kToldMax) log_.warning(why);
    if (refused_ == kToldMax) log_.warning("maildrop: of further files there nothing is said");
}

std::optional<MonotonicTime> DropBox::wake_at() const {
    std::optional<MonotonicTime> earliest;
    for (const auto& [name, file] : files_) {
        if (file.state != State::Waiting) continue;
        if (!earliest || file.not_before < *earliest) earliest = file.not_before;
    }
    if (more_ && !earliest) earliest = rest_at_;
    return earliest;
}

bool DropBox::is_empty() const {
    return !scan_due_ && !more_ && files_.size() == refused_;
}

void DropBox::taken(const std::string& name) {
    File* const file = handed_out(name);
    if (file == nullptr) return;
    struct stat status {};
    if (::fstatat(directory_.get(), name.c_str(), &status, AT_SYMLINK_NOFOLLOW) == 0 &&
        status.st_ino != file->inode) {
        file->state =
            State::Waiting;  // Its owner has put another one there, which nobody has read.
        return;
    }
    if (::unlinkat(directory_.get(), name.c_str(), 0) < 0 && errno != ENOENT) {
        // It is in the queue, which knows it if it is offered again.
        log_.warning(system_error("remove maildrop/" + name, errno).message);
        refuse(*file);
        return;
    }
    files_.erase(name);
}

void DropBox::refused(const std::string& name) {
    File* const file = handed_out(name);
    if (file == nullptr) return;
    log_.warning(fmt::format("maildrop/{} cannot be accepted and stays where it is", name));
    refuse(*file);
}

void DropBox::later(const std::string& name, MonotonicTime now) {
    File* const file = handed_out(name);
    if (file == nullptr) return;
    file->state = State::Waiting;
    file->not_before = now + kRetryDelay;
}

void DropBox::lost(pid_t holder) {
    for (auto& [name, file] : files_) {
        if (file.state == State::HandedOut && file.holder == holder) file.state = State::Waiting;
    }
}

void DropBox::scan() {
    scan_due_ = false;
    more_ = false;
    if (refused_ >= kRefusedMax) {  // Forgotten, and judged again if they are still there.
        std::erase_if(files_, [](const auto& file) { return file.second.state == State::Refused; });
        refused_ = 0;
    }
    // A descriptor of its own: the position of a directory being read belongs to the open file.
    const int copy = ::openat(directory_.get(), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (copy < 0) return;
    const std::unique_ptr<DIR, int (*)(DIR*)> directory(::fdopendir(copy), ::closedir);
    if (!directory) return;
    while (const dirent* entry = ::readdir(directory.get())) {
        if (!intake::is_drop_name(entry->d_name)) continue;
        more_ = files_.size() - refused_ >= kFilesMax;
        if (more_) break;
        files_.try_emplace(entry->d_name);
    }
}

}  // namespace postrider::daemon
