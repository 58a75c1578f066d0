#include "queue/crash_book.h"

#include <algorithm>
#include <array>
#include <cerrno>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/checksum.h"
#include "queue/schema.h"

namespace postrider::queue {
namespace {

struct Header {
    std::uint32_t magic;
    std::uint32_t format;
    std::uint32_t boot;
    std::uint32_t unused;
};
struct Slot {
    std::uint64_t number;
    std::uint32_t crashes;
    std::uint32_t leased;
};
static_assert(sizeof(Header) == 16 && sizeof(Slot) == 16);

constexpr std::uint32_t kMagic = 0x6c656173;  // "leas"
constexpr std::uint32_t kBookFormat = 1;
/// More than any limit; what claims more is not ours.
constexpr std::uint32_t kCrashesMax = 10000;
/// Written out at once at the beginning, so that it is there on a full disk.
constexpr std::size_t kSlotsAllocated = 4096;

Result<void> write_all(int file, const std::string& path, const void* bytes, std::size_t size,
                       off_t at) {
    const auto* from = static_cast<const char*>(bytes);
    while (size > 0) {
        const ssize_t done = ::pwrite(file, from, size, at);
        if (done < 0 && errno == EINTR) continue;
        if (done <= 0) return Unexpected(system_error("write " + path, done < 0 ? errno : EIO));
        from += done;
        at += done;
        size -= static_cast<std::size_t>(done);
    }
    return {};
}

/// 0 stands for no name.
std::uint32_t mark_of(std::string_view boot) {
    if (boot.empty()) return 0;
    Checksum checksum;
    checksum.add(boot);
    return checksum.value();
}

bool is_sound(const Slot& slot) {
    return slot.number >= kFirstNumber && slot.number <= kNumberMax &&
           slot.crashes <= kCrashesMax && slot.leased <= 1;
}

}  // namespace

Result<CrashBook> CrashBook::open(const std::filesystem::path& file, std::string_view boot) {
    UniqueFd fd(::open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
    if (!fd) return Unexpected(system_error("open " + file.string(), errno));
    CrashBook book(std::move(fd), file.string());
    if (auto done = book.read(mark_of(boot)); !done) return Unexpected(done.error());
    if (auto done = book.start_anew(mark_of(boot)); !done) return Unexpected(done.error());
    for (const Entry& entry : book.left_) book.put(entry);
    if (auto done = book.write(); !done) return Unexpected(done.error());
    return book;
}

Result<void> CrashBook::read(std::uint32_t boot) {
    std::vector<Slot> slots(kSlots + 1);
    const ssize_t size = ::pread(file_.get(), slots.data(), slots.size() * sizeof(Slot), 0);
    if (size < 0) return Unexpected(system_error("read " + path_, errno));
    slots.resize(static_cast<std::size_t>(size) / sizeof(Slot));
    if (slots.empty()) return {};
    Header header{};
    std::copy_n(reinterpret_cast<const char*>(slots.data()), sizeof header,
                reinterpret_cast<char*>(&header));
    const bool ours = header.magic == kMagic && header.format == kBookFormat;
    if (!ours || boot == 0 || header.boot != boot) return {};
    for (std::size_t i = 1; i < slots.size(); ++i) {
        if (!is_sound(slots[i])) continue;
        Entry entry;
        entry.number = slots[i].number;
        entry.crashes = slots[i].crashes + slots[i].leased;
        if (entry.crashes > 0) left_.push_back(entry);
    }
    return {};
}

Result<void> CrashBook::start_anew(std::uint32_t boot) {
    if (::ftruncate(file_.get(), 0) != 0) {
        return Unexpected(system_error("truncate " + path_, errno));
    }
    std::array<Slot, kSlotsAllocated> slots{};
    if (auto done = write_all(file_.get(), path_, slots.data(), sizeof slots, 0); !done) {
        return done;
    }
    const Header header{kMagic, kBookFormat, boot, 0};
    return write_all(file_.get(), path_, &header, sizeof header, 0);
}

void CrashBook::put(const Entry& entry) {
    std::size_t slot = slots_.size();
    if (const auto known = place_.find(entry.number); known != place_.end()) {
        slot = known->second;
    } else if (!free_.empty()) {
        slot = free_.back();
        free_.pop_back();
    } else if (slot < kSlots) {
        slots_.emplace_back();
    } else {
        return;
    }
    slots_[slot] = entry;
    place_[entry.number] = slot;
    touch(slot);
}

void CrashBook::erase(std::uint64_t number) {
    const auto known = place_.find(number);
    if (known == place_.end()) return;
    slots_[known->second] = Entry();
    free_.push_back(known->second);
    touch(known->second);
    place_.erase(known);
}

void CrashBook::touch(std::size_t slot) {
    if (changed_from_ >= changed_to_) {
        changed_from_ = slot;
        changed_to_ = slot + 1;
    } else {
        changed_from_ = std::min(changed_from_, slot);
        changed_to_ = std::max(changed_to_, slot + 1);
    }
}

Result<void> CrashBook::write() {
    if (changed_from_ >= changed_to_) return {};
    std::vector<Slot> slots;
    slots.reserve(changed_to_ - changed_from_);
    for (std::size_t i = changed_from_; i < changed_to_; ++i) {
        slots.push_back({slots_[i].number, slots_[i].crashes, slots_[i].leased ? 1U : 0U});
    }
    const auto at = static_cast<off_t>(sizeof(Header) + changed_from_ * sizeof(Slot));
    auto done = write_all(file_.get(), path_, slots.data(), slots.size() * sizeof(Slot), at);
    if (done) changed_from_ = changed_to_ = 0;
    return done;
}

}  // namespace postrider::queue
