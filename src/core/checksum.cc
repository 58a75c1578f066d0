#include "core/checksum.h"

#include <libdeflate.h>

namespace postrider {

void Checksum::add(std::string_view bytes) {
    value_ = libdeflate_crc32(value_, bytes.data(), bytes.size());
}

}  // namespace postrider
