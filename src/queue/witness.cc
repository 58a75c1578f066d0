#include "queue/witness.h"

#include <cerrno>
#include <string_view>

#include <fcntl.h>
#include <unistd.h>

#include "core/checksum.h"

namespace postrider::queue {
namespace {

struct Record {
    std::uint32_t magic;
    std::uint32_t checksum;
    std::int64_t serial;
};
static_assert(sizeof(Record) == 16);

constexpr std::uint32_t kMagic = 0x7769746e;  // "witn"

Record record_of(std::int64_t serial) {
    Checksum checksum;
    checksum.add({reinterpret_cast<const char*>(&serial), sizeof serial});
    return {kMagic, checksum.value(), serial};
}

}  // namespace

Result<Witness> Witness::open(const std::filesystem::path& file) {
    UniqueFd fd(::open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
    if (!fd) return Unexpected(system_error("open " + file.string(), errno));
    Witness witness(std::move(fd), file.string());
    Record record{};
    const ssize_t size = ::pread(witness.file_.get(), &record, sizeof record, 0);
    if (size < 0) return Unexpected(system_error("read " + file.string(), errno));
    const Record right = record_of(record.serial);
    if (size == sizeof record && record.magic == kMagic && record.checksum == right.checksum) {
        witness.said_ = record.serial;
    }
    return witness;
}

Result<void> Witness::say(std::int64_t serial) {
    const Record record = record_of(serial);
    // So few bytes in one sector are written as a whole or not at all, by the kernel and the disk.
    const ssize_t size = ::pwrite(file_.get(), &record, sizeof record, 0);
    if (size == sizeof record) return {};
    return Unexpected(system_error("write " + path_, size < 0 ? errno : EIO));
}

}  // namespace postrider::queue
