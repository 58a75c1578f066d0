#include "queue/room_reserve.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <functional>
#include <random>

#include <fcntl.h>
#include <linux/magic.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <unistd.h>

namespace postrider::queue {
namespace {

constexpr std::uint32_t kInPlace[] = {EXT4_SUPER_MAGIC, XFS_SUPER_MAGIC, TMPFS_MAGIC, RAMFS_MAGIC};

}  // namespace

bool writes_in_place(const std::filesystem::path& directory) {
    struct statfs system {};
    if (::statfs(directory.c_str(), &system) != 0) return false;
    const auto kind = static_cast<std::uint32_t>(system.f_type);
    return std::find(std::begin(kInPlace), std::end(kInPlace), kind) != std::end(kInPlace);
}

Result<RoomReserve> RoomReserve::open(const std::filesystem::path& file) {
    RoomReserve reserve(file.string());
    if (auto done = reserve.make(); !done) return Unexpected(done.error());
    const auto status = reserve.status();
    if (!status) return Unexpected(status.error());
    const std::int64_t bytes = std::min<std::int64_t>(status->st_size, status->st_blocks * 512);
    const auto slices = static_cast<int>(std::min<std::int64_t>(bytes / kSlice, kSlices));
    if (auto done = reserve.cut_to(slices); !done) return Unexpected(done.error());
    return reserve;
}

Result<void> RoomReserve::make() {
    file_.reset(::open(path_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
    if (!file_) return Unexpected(system_error("open " + path_, errno));
    return {};
}

Result<struct stat> RoomReserve::status() const {
    struct stat status {};
    if (::fstat(file_.get(), &status) == 0) return status;
    return Unexpected(system_error("examine " + path_, errno));
}

/// Somebody may have cut it. How many blocks it has is not asked here: ZFS says so seconds later.
Result<void> RoomReserve::look() {
    if (!file_) return {};
    const auto now = status();
    if (!now) return Unexpected(now.error());
    slices_ = static_cast<int>(std::min<std::int64_t>(slices_, now->st_size / kSlice));
    return {};
}

Result<void> RoomReserve::release() {
    if (auto done = look(); !done) return done;
    if (slices_ == 0) return Unexpected(ErrorCode::NotFound, path_ + ": nothing is left of it");
    auto cut = cut_to(slices_ - 1);
    if (cut || ::unlink(path_.c_str()) != 0) return cut;
    file_.reset();
    slices_ = 0;
    return {};
}

Result<void> RoomReserve::cut_to(int slices) {
    if (::ftruncate(file_.get(), slices * kSlice) != 0) {
        return Unexpected(system_error("cut " + path_, errno));
    }
    slices_ = slices;
    return {};
}

Result<void> RoomReserve::restore() {
    if (!file_) {
        if (auto made = make(); !made) return made;
    }
    if (auto done = look(); !done || is_whole()) return done;
    std::uint64_t seed = 0;
    if (::getrandom(&seed, sizeof seed, 0) != sizeof seed) {
        return Unexpected(system_error("get random bytes", errno));
    }
    std::mt19937_64 random(seed);
    std::array<std::uint64_t, 8192> block{};
    const std::int64_t end = (slices_ + 1) * kSlice;
    for (std::int64_t at = slices_ * kSlice; at < end; at += sizeof block) {
        std::generate(block.begin(), block.end(), std::ref(random));
        const ssize_t size = ::pwrite(file_.get(), block.data(), sizeof block, at);
        if (size == sizeof block) continue;
        const int why = size < 0 ? errno : ENOSPC;
        (void)cut_to(slices_);
        return Unexpected(system_error("write " + path_, why));
    }
    if (::fdatasync(file_.get()) != 0) {
        const int why = errno;
        (void)cut_to(slices_);
        return Unexpected(system_error("sync " + path_, why));
    }
    ++slices_;
    return {};
}

}  // namespace postrider::queue
