// What the two ends of an inbox channel say to each other.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "core/result.h"

namespace postrider::queue {

/// A frame is: payload length (32 bits), type (8), message number (64), payload; little-endian.
///
///   RemoteInbox                                InboxServer
///                                  <-- Grant   numbers from `number` on: count (32), long ids (8)
///   Want     few numbers are left   -->         another block, when there is room for it
///   Begin    a client has begun    -->         a hint, seldom
///   Piece    content               -->
///                                  <-- Credit  one piece is stored, or not wanted any more
///   Commit   envelope length (32),
///            envelope, last piece  -->
///                                  <-- Committed
///                                  <-- Refused error code (8), text
///   Discard                        -->
///                                  <-- Drain   use no more of the numbers granted
///   Return   count (32): numbers from `number` on will not be used
///
/// At most kPiecesUnderWay pieces of a message wait for their Credit.
enum class FrameType : std::uint8_t {
    Grant = 1,
    Begin,
    Piece,
    Credit,
    Commit,
    Committed,
    Refused,
    Discard,
    Drain,
    Return,
    Want,
};

struct Frame {
    FrameType type = FrameType::Begin;
    std::uint64_t number = 0;
    std::string_view payload;
};

inline constexpr std::size_t kFrameHeader = 13;
/// The largest: a Commit with some 50000 recipients.
inline constexpr std::size_t kPayloadMax = 16UL * 1024 * 1024;
inline constexpr std::uint32_t kPiecesUnderWay = 4;

void append_frame(std::string& out, FrameType, std::uint64_t number, std::string_view payload = {});
/// Leaves room for a payload that the caller appends, and end_frame() notes its length.
std::size_t begin_frame(std::string& out, FrameType, std::uint64_t number);
void end_frame(std::string& out, std::size_t begun);

/// The frame at the start of `bytes`; nothing if it is not complete. Protocol if it is too long or
/// of no known type.
Result<std::optional<Frame>> find_frame(std::string_view bytes);

void put_u32(std::string& out, std::uint32_t);
/// Takes it off the front; nothing if too little is left.
std::optional<std::uint32_t> take_u32(std::string_view& bytes);

}  // namespace postrider::queue
