// The store's format: tables, settings of a connection, version.
#pragma once

#include <memory>

#include "core/result.h"
#include "queue/database.h"

namespace postrider::queue {

/// Where a message stands; the numbers are the format's.
enum class Place : std::uint8_t { New = 0, Deferred = 1, Held = 2, Dead = 3 };
inline constexpr std::size_t kPlaceCount = 4;

inline constexpr std::int64_t kFormat = 6;
/// Looks like an inode number in a queue id, as administrators know it.
inline constexpr std::uint64_t kFirstNumber = 0x10000;
/// Rows of one message lie together: recipient ids are number << 20 | ordinal, content ids are
/// number << 24 | piece.
inline constexpr int kOrdinalBits = 20;
inline constexpr int kPieceBits = 24;
inline constexpr std::uint64_t kNumberMax = (std::uint64_t{1} << 38) - 1;
inline constexpr std::uint32_t kRecipientsMax = std::uint32_t{1} << kOrdinalBits;
inline constexpr std::uint32_t kPiecesMax = std::uint32_t{1} << kPieceBits;

/// Opens a connection, sets what R1 asks for and reads it back, creates the tables in an empty
/// database, brings an older format up to date in one transaction. Invalid for a newer format or
/// somebody else's database, which is left untouched.
Result<std::unique_ptr<Database>> open_database(const Database::Options&, bool in_memory);

}  // namespace postrider::queue
