// A disk in memory, as SQLite's file layer: it forgets, reorders, tears, fails and fills up.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "core/clock.h"

struct sqlite3_vfs;

namespace postrider::simulation {

/// Files as the running system sees them, and as they would be after a power cut. A sync moves
/// what was written before it to the safe side; a sync that fails does not, and neither does a
/// later one, because the kernel has called those pages clean (R5). One disk at a time.
class Disk {
public:
    enum class Operation : std::uint8_t { Write, Sync };

    explicit Disk(std::mt19937_64& random);
    ~Disk();
    Disk(const Disk&) = delete;
    Disk& operator=(const Disk&) = delete;

    static constexpr const char* kName = "simulated";

    /// The nth operation of this kind from now on fails with this SQLite code; so do all after it
    /// if `for_good`, until heal().
    void fail(Operation, int nth, int code, bool for_good);
    /// What other programs leave of the disk; files cannot grow beyond it.
    void set_capacity(std::uint64_t bytes) { capacity_ = bytes; }
    /// How long each sync takes: time passes for the whole machine meanwhile.
    void set_sync_time(Duration time) { sync_time_ = time; }
    void heal();
    /// A control: syncs say that they have been done, and are not.
    void lie_about_syncs() { lying_ = true; }

    /// The process that uses the disk is gone as of the nth operation from now on, whatever its
    /// objects still do until they are destroyed.
    void die_at(Operation, int nth);
    void forget_deaths() { deaths_[0] = deaths_[1] = Plan(); }
    void die() { dead_ = true; }
    bool is_dead() const { return dead_; }
    /// Another process may use it. After a power cut the files are what was synced, and whichever
    /// unsynced writes happened to be done, in any order, the last of them torn at a sector.
    void revive(bool power_was_cut);

    std::uint64_t free_space() const;
    std::uint64_t used() const;
    /// How many operations were made to fail.
    std::uint64_t failed_count() const { return failed_count_; }

    // For the file layer itself.
    struct Write {
        std::size_t offset = 0;
        std::string bytes;
        bool truncates = false;
    };
    struct File {
        std::string bytes;           ///< As read.
        std::string safe;            ///< As after a power cut, without what is in `pending`.
        std::vector<Write> pending;  ///< Written since the last sync.
        std::vector<std::unique_ptr<std::vector<char>>> shared;  ///< SQLite's index of the log.
        int connections = 0;
    };
    File* find(const std::string& path);
    File& create(const std::string& path) { return files_[path]; }
    void remove(const std::string& path) { files_.erase(path); }
    /// The code to fail with, or 0.
    int before(Operation);
    int write(File&, std::size_t offset, const char* bytes, std::size_t size);
    int truncate(File&, std::size_t size);
    int sync(File&);
    unsigned random_byte() { return static_cast<unsigned>(random_() & 0xff); }

private:
    struct Plan {
        int nth = 0;
        int code = 0;
        bool for_good = false;
    };
    std::mt19937_64& random_;
    std::unique_ptr<sqlite3_vfs> vfs_;
    std::map<std::string, File> files_;
    Plan plans_[2];
    Plan deaths_[2];
    std::uint64_t capacity_ = UINT64_MAX;
    Duration sync_time_{0};
    std::uint64_t failed_count_ = 0;
    bool lying_ = false;
    bool dead_ = false;
};

}  // namespace postrider::simulation
