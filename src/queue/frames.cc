#include "queue/frames.h"

namespace postrider::queue {
namespace {

std::uint64_t little_endian(std::string_view bytes) {
    std::uint64_t value = 0;
    for (std::size_t i = 0; i < bytes.size(); ++i) {
        value |= std::uint64_t{static_cast<unsigned char>(bytes[i])} << (8 * i);
    }
    return value;
}

}  // namespace

void put_u32(std::string& out, std::uint32_t value) {
    for (int shift = 0; shift < 32; shift += 8) out += static_cast<char>(value >> shift & 0xff);
}

std::optional<std::uint32_t> take_u32(std::string_view& bytes) {
    if (bytes.size() < 4) return std::nullopt;
    const auto value = static_cast<std::uint32_t>(little_endian(bytes.substr(0, 4)));
    bytes.remove_prefix(4);
    return value;
}

std::size_t begin_frame(std::string& out, FrameType type, std::uint64_t number) {
    const std::size_t begun = out.size();
    put_u32(out, 0);
    out += static_cast<char>(type);
    put_u32(out, static_cast<std::uint32_t>(number));
    put_u32(out, static_cast<std::uint32_t>(number >> 32));
    return begun;
}

void end_frame(std::string& out, std::size_t begun) {
    const std::size_t length = out.size() - begun - kFrameHeader;
    for (std::size_t i = 0; i < 4; ++i) {
        out[begun + i] = static_cast<char>(length >> (8 * i) & 0xff);
    }
}

void append_frame(std::string& out, FrameType type, std::uint64_t number,
                  std::string_view payload) {
    const std::size_t begun = begin_frame(out, type, number);
    out += payload;
    end_frame(out, begun);
}

Result<std::optional<Frame>> find_frame(std::string_view bytes) {
    if (bytes.size() < 5) return std::optional<Frame>();
    const std::uint64_t length = little_endian(bytes.substr(0, 4));
    const auto type = static_cast<unsigned char>(bytes[4]);
    if (length > kPayloadMax || type < 1 || type > static_cast<int>(FrameType::Want)) {
        return Unexpected(ErrorCode::Protocol, "malformed frame on the inbox channel");
    }
    if (bytes.size() < kFrameHeader + length) return std::optional<Frame>();
    Frame frame;
    frame.type = static_cast<FrameType>(type);
    frame.number = little_endian(bytes.substr(5, 8));
    frame.payload = bytes.substr(kFrameHeader, length);
    return std::optional<Frame>(frame);
}

}  // namespace postrider::queue
