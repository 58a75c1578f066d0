#include "core/check.h"

#include <cstdio>
#include <cstdlib>

namespace postrider {

void check_violated(const char* condition, const char* file, int line) {
    std::fprintf(stderr, "postrider: panic: %s:%d: %s does not hold\n", file, line, condition);
    std::abort();
}

}  // namespace postrider
