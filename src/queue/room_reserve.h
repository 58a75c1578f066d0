// Room that is kept back for outcomes where files are not written in place: queue.reserve (R6).
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <utility>

#include <sys/stat.h>

#include "core/result.h"
#include "core/unique_fd.h"

namespace postrider::queue {

/// False for file systems that copy on write (btrfs, ZFS) and for those we do not know: to write a
/// file's own bytes again takes free blocks there, so that on a full disk the log's reserve is
/// worth nothing.
bool writes_in_place(const std::filesystem::path& directory);

/// A file to be given back to the file system when an outcome finds no room. A slice at a time:
/// whoever filled the disk may be quicker than we are, and get one.
class RoomReserve {
public:
    static constexpr int kSlices = 4;
    static constexpr std::int64_t kSlice = 8LL * 1024 * 1024;

    /// Opens or creates the file; restore() fills it. A slice that has holes is none.
    static Result<RoomReserve> open(const std::filesystem::path& file);

    int slices() const { return slices_; }
    bool is_whole() const { return slices_ == kSlices; }
    /// Gives one slice back, or all at once where a file cannot be cut without room, as under a
    /// quota of btrfs. NotFound if none is left.
    Result<void> release();
    /// Writes one slice, unless it is whole; synced, of bytes that no file system can compress or
    /// share: some hundredths of a second on a quick disk, some tenths on a slow one.
    Result<void> restore();

private:
    explicit RoomReserve(std::string path) : path_(std::move(path)) {}
    Result<void> make();
    Result<struct stat> status() const;
    Result<void> look();
    Result<void> cut_to(int slices);

    std::string path_;
    UniqueFd file_;  ///< None after it has been given back whole.
    int slices_ = 0;
};

}  // namespace postrider::queue
