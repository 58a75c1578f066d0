#include "config/main_cf_edit.h"

#include <cerrno>
#include <map>
#include <system_error>
#include <utility>

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/ascii.h"
#include "core/unique_fd.h"

namespace postrider::config {
namespace {

Result<void> write_all(int fd, std::string_view text, const std::string& name) {
    while (!text.empty()) {
        const auto count = ::write(fd, text.data(), text.size());
        if (count < 0 && errno == EINTR) continue;
        if (count < 0) return Unexpected(system_error("write " + name, errno));
        text.remove_prefix(static_cast<std::size_t>(count));
    }
    return {};
}

/// The new file beside the old one. It always has the same name, so that a crash leaves one file
/// behind and not many, and it is locked while in use, so that what a crash left can be told from
/// what another editor is writing.
class Replacement {
public:
    static Result<Replacement> open(const std::filesystem::path& target) {
        Replacement made(target.string() + ".tmp");
        // Private until it has its owner: main.cf may hold what its mode protects.
        made.fd_.reset(::open(made.name_.c_str(), O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC,
                              S_IRUSR | S_IWUSR));
        if (!made.fd_) return Unexpected(system_error("open " + made.name_, errno));
        struct stat opened = {};
        struct stat named = {};
        // The other editor may have renamed it between our open and our lock.
        const bool unchanged = ::flock(made.fd_.get(), LOCK_EX | LOCK_NB) == 0 &&
                               ::fstat(made.fd_.get(), &opened) == 0 &&
                               ::stat(made.name_.c_str(), &named) == 0 &&
                               opened.st_ino == named.st_ino && opened.st_dev == named.st_dev;
        if (!unchanged)
            return Unexpected(ErrorCode::Unavailable,
                              "another program is changing " + target.string() + "; try again");
        // A name that somebody else has put there could be another's file as well.
        if (!S_ISREG(opened.st_mode) || opened.st_nlink != 1 || opened.st_uid != ::geteuid())
            return Unexpected(ErrorCode::Denied,
                              made.name_ + " is not a file of this program's; remove it");
        made.owns_name_ = true;
        return made;
    }
    Replacement(Replacement&& other) noexcept
        : name_(std::move(other.name_)),
          fd_(std::move(other.fd_)),
          owns_name_(std::exchange(other.owns_name_, false)) {}
    ~Replacement() {
        if (owns_name_) ::unlink(name_.c_str());
    }

    /// Puts `text` on disk with the mode and owner of `target`, and renames.
    Result<void> commit(const std::filesystem::path& target, std::string_view text) {
        struct stat old = {};
        if (::stat(target.c_str(), &old) != 0) return trouble("stat " + target.string());
        if (::ftruncate(fd_.get(), 0) != 0) return trouble("truncate " + name_);
        if (::fchown(fd_.get(), old.st_uid, old.st_gid) != 0)
            return trouble("change owner of " + name_);
        if (::fchmod(fd_.get(), old.st_mode & 07777) != 0)
            return trouble("change mode of " + name_);
        if (auto written = write_all(fd_.get(), text, name_); !written) return written;
        if (::fsync(fd_.get()) != 0) return trouble("sync " + name_);
        if (::rename(name_.c_str(), target.c_str()) != 0) return trouble("rename " + name_);
        owns_name_ = false;
        return {};
    }

private:
    explicit Replacement(std::string name) : name_(std::move(name)) {}
    static Unexpected trouble(std::string attempt) {
        return Unexpected(system_error(std::move(attempt), errno));
    }

    std::string name_;
    UniqueFd fd_;
    bool owns_name_ = false;
};

/// The file to write: main.cf may be a link, but not one by which somebody else than root and us
/// leads us to a file of their choice.
Result<std::filesystem::path> find_target(const std::filesystem::path& file) {
    struct stat status = {};
    if (::lstat(file.c_str(), &status) != 0)
        return Unexpected(system_error("open " + file.string(), errno));
    if (S_ISLNK(status.st_mode) && status.st_uid != 0 && status.st_uid != ::geteuid())
        return Unexpected(ErrorCode::Denied, file.string() + " is a link of user " +
                                                 std::to_string(status.st_uid) +
                                                 "'s and is not followed");
    std::error_code problem;
    auto target = std::filesystem::canonical(file, problem);
    if (problem) return Unexpected(system_error("open " + file.string(), problem.value()));
    return target;
}

Result<void> sync_folder(const std::filesystem::path& folder) {
    const UniqueFd fd(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!fd || ::fsync(fd.get()) != 0)
        return Unexpected(system_error("sync " + folder.string(), errno));
    return {};
}

}  // namespace

EditedText edit_main_cf(std::string_view text, Edit edit, std::span<const Entry> entries,
                        const std::filesystem::path& file) {
    std::map<std::string_view, std::string_view> wanted;
    for (const auto& entry : entries) wanted[entry.name] = entry.value;
    std::map<std::string_view, int> found;

    EditedText edited;
    bool inside = false;  // An entry that is being changed.
    const auto copy = [&](std::string_view line, std::string_view prefix = {}) {
        ((edited.text += prefix) += line) += '\n';
    };
    while (!text.empty()) {
        const auto end = text.find('\n');
        const auto line = text.substr(0, end);
        text.remove_prefix(end == text.npos ? text.size() : end + 1);
        const auto content = trimmed(line);
        if (content.empty() || content.front() == '#') {
            copy(line);
            continue;
        }
        if (!is_ascii_space(line.front())) {
            const auto name = line.substr(0, line.find_first_of("= \t\r\v\f"));
            const auto at = wanted.find(name);
            inside = at != wanted.end();
            if (inside && ++found[at->first] == 2)
                edited.warnings.push_back(file.string() + ": multiple entries for \"" +
                                          std::string(name) + "\"");
            if (inside && edit == Edit::Set)
                copy(std::string(name) + " = " + std::string(at->second));
        }
        if (!inside)
            copy(line);
        else if (edit == Edit::CommentOut)
            copy(line, "#");
    }
    if (edit == Edit::Set)
        for (const auto& [name, value] : wanted)
            if (!found.contains(name)) copy(std::string(name) + " = " + std::string(value));
    return edited;
}

Result<std::vector<std::string>> edit_main_cf_file(const std::filesystem::path& file, Edit edit,
                                                   std::span<const Entry> entries) {
    const auto found = find_target(file);
    if (!found) return Unexpected(found.error());
    const std::filesystem::path& target = *found;
    auto replacement = Replacement::open(target);
    if (!replacement) return Unexpected(std::move(replacement).error());
    const auto text = read_text(target);
    if (!text) return Unexpected(text.error());
    auto edited = edit_main_cf(*text, edit, entries, file);
    if (auto done = replacement->commit(target, edited.text); !done)
        return Unexpected(std::move(done).error());
    if (auto done = sync_folder(target.parent_path()); !done)
        return Unexpected(std::move(done).error());
    return std::move(edited.warnings);
}

}  // namespace postrider::config
