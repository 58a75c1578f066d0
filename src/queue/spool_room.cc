// Room on the disk: what mail that comes in may take, and what is kept back so that outcomes can be
// recorded when nothing is left (R6).
#include <algorithm>
#include <utility>

#include "queue/sqlite_spool.h"
#include "queue/store_files.h"

namespace postrider::queue {
namespace {

/// How much may come in before the file system is asked again.
constexpr std::uint64_t kRoomTrusted = 4ULL * 1024 * 1024;
/// A disk that is nearly full takes one message and refuses the next.
constexpr auto kShortageMin = std::chrono::seconds{60};
/// From giving back a slice of the reserve until one is taken back; then between two, each of which
/// makes calls wait for its sync; and, while the file system says that there is room and has none,
/// at most.
constexpr Duration kMendAfter = std::chrono::seconds{10};
constexpr Duration kMendInterval = std::chrono::seconds{2};
constexpr Duration kMendIntervalMax = std::chrono::minutes{10};

std::string megabytes(int slices) {
    return std::to_string(slices * RoomReserve::kSlice / (1024 * 1024)) + " MB";
}

}  // namespace

/// Asks the file system once for many messages: what it had left, less what has come in since.
Result<void> SqliteSpool::check_room(std::size_t bytes) {
    takes_mail_ = true;
    if (in_memory_) return {};
    if (room_ < bytes) {
        if (auto there = check_place(); !there) {
            note_shortage(there.error());
            return there;
        }
        const auto space = free_space(options_.directory);
        if (!space) return Unexpected(space.error());
        if (*space < options_.free_space_floor) {
            const Error error{ErrorCode::DiskFull, options_.directory.string() + ": only " +
                                                       std::to_string(*space / 1024) + " KB left"};
            note_shortage(error);
            return Unexpected(error);
        }
        room_ = bytes + std::min(*space - options_.free_space_floor, kRoomTrusted);
    }
    room_ -= bytes;
    return {};
}

/// What is open may have been moved away or removed. It could still be written, where nobody will
/// look for it: what it says of mail that it has goes on being recorded there, new mail is refused.
Result<void> SqliteSpool::check_place() const {
    if (!identity_ || identity_of(database_file(options_.directory)) == identity_) return {};
    return Unexpected(ErrorCode::NotFound, database_file(options_.directory).string() +
                                               " is not the file that is open: it was moved, "
                                               "removed or replaced");
}

void SqliteSpool::note_shortage(const Error& error) {
    const bool is_shortage = error.code == ErrorCode::DiskFull || error.code == ErrorCode::NotFound;
    if (!is_shortage || !takes_mail_) return;
    shortage_ = error;
    refused_at_ = clock_.monotonic();
}

void SqliteSpool::note_room() {
    const bool has_room = takes_mail_ && clock_.monotonic() - refused_at_ >= kShortageMin;
    if (has_room) shortage_.reset();
}

/// Zeros behind the frames of the log end it as the end of the file does, and are overwritten by
/// the next ones. An empty database would take its log for a stranger's: it has its tables by now.
Result<void> SqliteSpool::reserve_log() {
    if (in_memory_ || !in_place_) return {};
    std::error_code failed;
    const auto size = std::filesystem::file_size(log_file(options_.directory), failed);
    if (!failed && static_cast<std::int64_t>(size) >= options_.log_reserve) return {};
    const auto space = free_space(options_.directory);
    if (!space) return Unexpected(space.error());
    Result<void> extended;
    if (*space < options_.free_space_floor) {
        extended =
            Unexpected(ErrorCode::DiskFull, options_.directory.string() + ": too little space");
    } else {
        database_.reset();
        extended =
            extend_with_zeros(log_file(options_.directory), options_.log_reserve, options_.vfs);
        if (auto done = connect(); !done) return done;
    }
    if (!extended && log_) {
        log_->warning("no reserve for a full disk: " + extended.error().message);
    }
    return {};
}

/// After a transaction that failed. On a full disk a log that has been copied can be written anew
/// from its beginning; where that takes new blocks, too, there is the reserve, for what has to be
/// recorded: not for mail that comes in, nor for what can be done later.
void SqliteSpool::make_room(const Error& error) {
    if (error.code != ErrorCode::DiskFull || in_memory_) return;
    (void)database_->checkpoint();
    if (must_be_recorded_ && !takes_mail_) made_room_ = released_ || release_reserve(error);
}

void SqliteSpool::open_reserve() {
    if (in_memory_) return;
    mend_interval_ = kMendInterval;
    const std::filesystem::path file = options_.directory / "queue.reserve";
    if (in_place_) {
        // The folder may have come here from another file system.
        std::error_code none;
        std::filesystem::remove(file, none);
        return;
    }
    auto opened = RoomReserve::open(file);
    if (opened) {
        reserve_.emplace(std::move(*opened));
    } else if (log_) {
        log_->warning("no reserve for a full disk: " + opened.error().message);
    }
}

void SqliteSpool::fill_reserve() {
    if (!reserve_) return;
    Result<void> grown;
    while (grown && !reserve_->is_whole()) {
        grown = has_room_for_reserve()
                    ? reserve_->restore()
                    : Result<void>(Unexpected(ErrorCode::DiskFull, "too little space"));
    }
    if (grown || !log_) return;
    log_->warning("a reserve of " + megabytes(reserve_->slices()) + " for a full disk instead of " +
                  megabytes(RoomReserve::kSlices) + ": " + grown.error().message);
}

/// Once somebody has made room, what was given back is taken again.
void SqliteSpool::mend_reserve() {
    if (!reserve_ || reserve_->is_whole() || clock_.monotonic() < mend_reserve_at_) return;
    mend_reserve_at_ = clock_.monotonic() + mend_interval_;
    if (!has_room_for_reserve()) return;
    const auto grown = reserve_->restore();
    mend_interval_ = grown ? kMendInterval : std::min(mend_interval_ * 2, kMendIntervalMax);
    if (grown && reserve_->is_whole() && log_) {
        log_->info("queue.reserve: whole again, " + megabytes(RoomReserve::kSlices));
    }
}

bool SqliteSpool::has_room_for_reserve() const {
    const auto space = free_space(options_.directory);
    return space && *space >= options_.free_space_floor + RoomReserve::kSlice;
}

/// Whether it is worth trying again what met this error.
bool SqliteSpool::release_reserve(const Error& error) {
    if (error.code != ErrorCode::DiskFull || !reserve_ || reserve_->slices() == 0) return false;
    const int slices = reserve_->slices();
    const auto released = reserve_->release();
    const bool failed_before = std::exchange(release_failed_, !released);
    mend_interval_ = kMendInterval;
    mend_reserve_at_ = clock_.monotonic() + kMendAfter;
    released_ = released_ || released;
    if (log_ && released) {
        log_->warning("no room on the disk: " + megabytes(slices - reserve_->slices()) +
                      " of queue.reserve are given back for outcomes, " +
                      megabytes(reserve_->slices()) + " of it are left: " + error.message);
    } else if (log_ && !failed_before) {
        log_->warning("no room on the disk, and queue.reserve cannot be given back: " +
                      released.error().message);
    }
    return released.has_value();
}

}  // namespace postrider::queue
