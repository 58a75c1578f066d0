// The checksum every stored message carries.
#pragma once

#include <cstdint>
#include <string_view>

namespace postrider::queue {

/// CRC-32 as in zlib, over pieces as they pass. Whoever streams a message out compares it with the
/// lease's before the final dot (R13).
class Checksum {
public:
    void add(std::string_view bytes);
    std::uint32_t value() const { return value_; }

private:
    std::uint32_t value_ = 0;
};

}  // namespace postrider::queue
