// How far the store was known to be durable, said outside of it: queue.witness.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

#include "core/result.h"
#include "core/unique_fd.h"

namespace postrider::queue {

/// A log whose last transactions are missing looks like one that a power cut ended there; this file
/// tells them apart. It holds the serial of a transaction that had been synced when that was
/// written. It is not synced itself: after a power cut it may be some seconds old, or gone, and
/// then proves less, but never more than is true. A process that died has left all of it.
class Witness {
public:
    /// Opens or creates the file.
    static Result<Witness> open(const std::filesystem::path& file);

    /// What the last process said; nothing if the file is new or cannot be believed.
    std::optional<std::int64_t> said() const { return said_; }

    /// `serial` is durable.
    Result<void> say(std::int64_t serial);

private:
    Witness(UniqueFd file, std::string path) : file_(std::move(file)), path_(std::move(path)) {}

    UniqueFd file_;
    std::string path_;
    std::optional<std::int64_t> said_;
};

}  // namespace postrider::queue
