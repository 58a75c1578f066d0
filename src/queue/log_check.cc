#include "queue/log_check.h"

#include <array>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "queue/vfs_file.h"

namespace postrider::queue {
namespace {

// https://www.sqlite.org/fileformat2.html#the_write_ahead_log. All numbers are big-endian.
constexpr std::size_t kHeaderSize = 32;
constexpr std::size_t kFrameHeaderSize = 24;
constexpr std::size_t kPageSize = 4096;
constexpr std::uint32_t kMagic = 0x377f0682;  // With its lowest bit set, sums are big-endian.

using Bytes = std::span<const unsigned char>;

std::uint32_t number_at(Bytes bytes, std::size_t at) {
    return std::uint32_t{bytes[at]} << 24 | std::uint32_t{bytes[at + 1]} << 16 |
           std::uint32_t{bytes[at + 2]} << 8 | std::uint32_t{bytes[at + 3]};
}

struct Sum {
    std::uint32_t first = 0;
    std::uint32_t second = 0;
    bool operator==(const Sum&) const = default;
};

Sum sum_at(Bytes bytes, std::size_t at) {
    return {number_at(bytes, at), number_at(bytes, at + 4)};
}

Sum continued(Sum sum, Bytes bytes, bool big_endian) {
    const auto word = [&](std::size_t at) {
        const std::uint32_t number = number_at(bytes, at);
        return big_endian ? number : __builtin_bswap32(number);
    };
    for (std::size_t at = 0; at < bytes.size(); at += 8) {
        sum.first += word(at) + sum.second;
        sum.second += word(at + 4) + sum.first;
    }
    return sum;
}

/// What the next frame has to go on from.
struct Link {
    Sum salts;
    Sum sum;
    bool ends_transaction = false;
};

bool follows(Bytes frame, const Link& link, bool big_endian) {
    if (sum_at(frame, 8) != link.salts) return false;
    const Sum sum = continued(continued(link.sum, frame.first(8), big_endian),
                              frame.subspan(kFrameHeaderSize), big_endian);
    return sum == sum_at(frame, 16);
}

Link link_behind(Bytes frame) {
    return {sum_at(frame, 8), sum_at(frame, 16), number_at(frame, 4) != 0};
}

class Reader {
public:
    Reader(const VfsFile& file, sqlite3_int64 size) : file_(file), size_(size) {}

    /// False at the end of the file.
    Result<bool> read(std::span<unsigned char> into) {
        if (at_ + std::ssize(into) > size_) return false;
        const int code =
            file_.operations().xRead(file_.get(), into.data(), static_cast<int>(into.size()), at_);
        if (code != SQLITE_OK) return Unexpected(ErrorCode::Io, sqlite3_errstr(code));
        at_ += std::ssize(into);
        return true;
    }

private:
    const VfsFile& file_;
    sqlite3_int64 size_;
    sqlite3_int64 at_ = 0;
};

Result<std::string> damage_in(Reader& reader) {
    std::array<unsigned char, kHeaderSize> header{};
    const auto begun = reader.read(header);
    if (!begun) return Unexpected(begun.error());
    const bool big_endian = (number_at(header, 0) & 1) != 0;
    if (!*begun || (number_at(header, 0) | 1) != (kMagic | 1) ||
        continued({}, Bytes(header).first(24), big_endian) != sum_at(header, 24)) {
        return std::string("it is gone, or its beginning is");
    }
    Link link{sum_at(header, 16), sum_at(header, 24)};
    bool whole = true;
    std::vector<unsigned char> frame(kFrameHeaderSize + kPageSize);
    for (;;) {
        const auto more = reader.read(frame);
        if (!more) return Unexpected(more.error());
        if (!*more) return std::string();
        const bool linked = follows(frame, link, big_endian);
        if (linked && !whole && link.ends_transaction) {
            return std::string("behind a place that cannot be read there is more");
        }
        whole = whole && linked;
        const Sum salts = link.salts;
        link = link_behind(frame);
        link.salts = salts;
    }
}

}  // namespace

Result<std::string> find_log_damage(const std::filesystem::path& log, const std::string& vfs_name) {
    sqlite3_vfs* vfs = find_vfs(vfs_name);
    if (vfs == nullptr) return Unexpected(ErrorCode::Invalid, "no file layer " + vfs_name);
    const VfsFile file(vfs);
    int code =
        vfs->xOpen(vfs, log.c_str(), file.get(), SQLITE_OPEN_READWRITE | SQLITE_OPEN_WAL, nullptr);
    sqlite3_int64 size = 0;
    if (code == SQLITE_OK) code = file.operations().xFileSize(file.get(), &size);
    if (code != SQLITE_OK) return Unexpected(vfs_error("read", log, code));
    Reader reader(file, size);
    auto found = damage_in(reader);
    if (!found)
        return Unexpected(ErrorCode::Io, "read " + log.string() + ": " + found.error().message);
    return found;
}

}  // namespace postrider::queue
