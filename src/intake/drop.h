// The drop directory: where the sendmail command leaves mail when no daemon answers.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include <sys/types.h>

#include "core/result.h"
#include "core/unique_fd.h"

namespace postrider::intake {

/// A message being written into maildrop, by the sendmail command as its caller. The directory is
/// writable for all and readable for none but its owner (mode 1733); the file's owner is what
/// vouches for the submitter. Where the daemon can read its own user's files only, so is maildrop
/// (mode 0700), and what root leaves there becomes that user's. Its content is the stream of submission_format.h.
///
///   create() -> no name --write()*--> finish(): synced, then named NAME, the name synced
///                       \--> the end without finish(), even by a signal: nothing is left
///
/// Where the file system knows no files without names (or /proc is missing) it is .NAME meanwhile:
/// names that begin with a dot are not complete. Plain system calls only.
class DropFile {
public:
    /// `directory` is maildrop. NotFound if there is none, Denied if it is another user's alone.
    static Result<DropFile> create(const std::string& directory);

    DropFile(DropFile&&) noexcept;
    DropFile& operator=(DropFile&&) = delete;
    ~DropFile();

    /// Letters and digits only, so that it may stand for a queue id.
    const std::string& name() const { return name_; }
    Result<void> write(std::string_view bytes);
    /// The message survives a power cut once this has returned its name.
    Result<std::string> finish();

private:
    DropFile(std::string directory, std::string name, UniqueFd file, bool is_nameless);
    std::string temporary_path() const { return directory_ + "/." + name_; }
    Result<void> give_name(const std::string& path);

    std::string directory_;
    std::string name_;
    UniqueFd file_;
    bool is_nameless_;
};

/// Whether a directory entry is a complete message of ours.
bool is_drop_name(std::string_view name);

/// A message left in maildrop, opened so that nothing planted there can do harm.
struct Drop {
    UniqueFd file;
    std::int64_t uid = -1;  ///< The owner: who submitted it.
    ino_t inode = 0;
};

/// Opens `name` in the directory `directory_fd`: never through a link, never waiting. What is not a
/// regular file with one link is ErrorCode::Denied (L7): to be reported and left alone.
Result<Drop> open_drop(int directory_fd, const std::string& name);

}  // namespace postrider::intake
