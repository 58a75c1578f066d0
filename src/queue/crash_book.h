// Which messages were being delivered when the process died, and how often: queue.leases.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "core/result.h"
#include "core/unique_fd.h"

namespace postrider::queue {

/// Counts attempts before the risky step, without a sync: what was written survives the death of
/// the process, which is all that is asked. After a reboot the file is void, since what a power cut
/// left of it means nothing.
///
///   header   magic, format, a checksum of the boot's name
///   slots    { number, crashes, leased }; number 0 is a free one
class CrashBook {
public:
    struct Entry {
        std::uint64_t number = 0;
        std::uint32_t crashes = 0;  ///< Times that the process died while it was leased.
        bool leased = false;
    };

    /// Opens or creates the file; `boot` names this run of the machine, and without a name nothing
    /// is believed.
    static Result<CrashBook> open(const std::filesystem::path& file, std::string_view boot);

    /// What the last process left; whatever was leased then has one crash more now.
    const std::vector<Entry>& left() const { return left_; }

    void put(const Entry&);
    void erase(std::uint64_t number);
    /// Writes what changed, in one piece. What finds no slot is not counted.
    Result<void> write();

    static constexpr std::size_t kSlots = 32768;

private:
    CrashBook(UniqueFd file, std::string path) : file_(std::move(file)), path_(std::move(path)) {}
    Result<void> read(std::uint32_t boot);
    Result<void> start_anew(std::uint32_t boot);
    void touch(std::size_t slot);

    UniqueFd file_;
    std::string path_;
    std::vector<Entry> left_;
    std::vector<Entry> slots_;       ///< As in the file, once written.
    std::vector<std::size_t> free_;  ///< Slots below slots_.size(), the lowest last.
    std::unordered_map<std::uint64_t, std::size_t> place_;
    std::size_t changed_from_ = 0;  ///< Nothing has changed if this is not below changed_to_.
    std::size_t changed_to_ = 0;
};

}  // namespace postrider::queue
