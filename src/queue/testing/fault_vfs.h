// A file layer for SQLite that fails on demand and knows what a power cut would leave.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <random>
#include <string>
#include <string_view>
#include <vector>

struct sqlite3_vfs;

namespace postrider::queue::testing {

/// Passes everything to the real file layer and keeps, for each database and log file, the bytes
/// that have been synced. A sync that fails leaves the kernel's lie behind: what was written since
/// the last one can be read, is never written to the disk by a later sync, and is gone after a
/// power cut. One at a time.
class FaultVfs {
public:
    enum class Operation { Write, Sync, Read };

    FaultVfs();
    ~FaultVfs();
    FaultVfs(const FaultVfs&) = delete;
    FaultVfs& operator=(const FaultVfs&) = delete;

    static constexpr const char* kName = "fault";
    static constexpr std::size_t kBlock = 4096;

    /// The nth operation of this kind from now on (1 is the next) fails with this SQLite code; so
    /// do all after it if `for_good`.
    void fail(Operation, int nth, int code, bool for_good = false);
    void heal();
    /// How many operations of this kind there were.
    int count(Operation operation) const {
        const std::lock_guard guard(mutex_);
        return counts_[static_cast<std::size_t>(operation)];
    }
    /// Syncs do nothing and say they did: the control of every power cut test.
    void lie_about_syncs() { lying_ = true; }

    /// From now on nothing reaches a file: let the spool go, then restore_power().
    void cut_power() { dark_ = true; }
    /// The files are what was synced, and whichever unsynced writes happened to be done; the last
    /// of those may be torn at a sector.
    void restore_power(std::mt19937& random);

    // For the file layer itself.
    struct Write {
        std::size_t offset = 0;
        std::string bytes;
        bool truncates = false;
    };
    struct Image {
        std::string durable;
        std::vector<Write> pending;
        /// However much is written at once: what lies in different blocks goes its own ways.
        void write(std::size_t offset, std::string_view bytes);
    };
    Image& open(const std::string& path);
    /// The code to fail with, or 0.
    int before(Operation);
    bool is_dark() const { return dark_; }
    void synced(Image&);
    void removed(const std::string& path);
    sqlite3_vfs* real() const { return real_; }

private:
    struct Plan {
        int nth = 0;
        int code = 0;
        bool for_good = false;
    };
    sqlite3_vfs* real_;
    std::unique_ptr<sqlite3_vfs> own_;
    std::map<std::string, Image> images_;
    mutable std::mutex mutex_;  // Of plans and counts: tests change them while the thread works.
    Plan plans_[3];
    int counts_[3] = {0, 0, 0};
    bool lying_ = false;
    bool dark_ = false;
};

}  // namespace postrider::queue::testing
