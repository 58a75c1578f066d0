#include "queue/checksum.h"

#include <zlib.h>

namespace postrider::queue {

void Checksum::add(std::string_view bytes) {
    value_ = static_cast<std::uint32_t>(
        crc32_z(value_, reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size()));
}

}  // namespace postrider::queue
