// The checksum every stored message carries.
#pragma once

#include <cstdint>
#include <string_view>

namespace postrider {

/// CRC-32 as in zip files and Ethernet (ISO 3309), over pieces as they pass.
class Checksum {
public:
    void add(std::string_view bytes);
    std::uint32_t value() const { return value_; }

private:
    std::uint32_t value_ = 0;
};

}  // namespace postrider
