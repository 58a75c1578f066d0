// A file layer for SQLite that writes its log in a few large pieces instead of thousands of small.
#pragma once

#include <memory>
#include <string>

struct sqlite3_vfs;

namespace postrider::queue {

/// SQLite writes each page that a transaction changes into its log by itself, after 24 bytes of a
/// header. Here what follows what was written last waits, up to kRoom, until the log is synced,
/// read, cut or measured. Every commit syncs (R1), so none is over before its frames are in the
/// file; a write that fails is told by whichever call brought it about, and all that waited is
/// forgotten: it belonged to a transaction that is rolled back. Other files are the layer's below.
class GatheringVfs {
public:
    /// Bytes that wait at most, for each open log.
    static constexpr int kRoom = 64 * 1024;

    /// Over the layer of this name; over the system's if it is empty.
    explicit GatheringVfs(const std::string& below);
    /// Files that were opened through it must be closed.
    ~GatheringVfs();
    GatheringVfs(const GatheringVfs&) = delete;
    GatheringVfs& operator=(const GatheringVfs&) = delete;

    /// To be given to sqlite3_open_v2(), which does not know it if there is no layer below.
    const char* name() const { return name_.c_str(); }

private:
    std::string name_;
    std::unique_ptr<sqlite3_vfs> vfs_;
};

}  // namespace postrider::queue
