#include "core/wiped_frees.h"

#include <string>

#include <gtest/gtest.h>

namespace postrider {
namespace {

// What is left in freed memory cannot be looked at without breaking the language's rules, and the
// heap writes there as well; the daemon's memory is looked at from outside (tests/e2e/secrets.py).
TEST(WipedFrees, LeavesTheHeapAsItIs) {
    std::string kept(100, 'k');
    {
        const WipedFrees outer;
        const WipedFrees inner;
        for (int i = 0; i < 1000; ++i) {
            const std::string text(static_cast<std::size_t>(i), 'x');
            const std::string copy = text + "y";
            EXPECT_EQ(copy.size(), text.size() + 1);
        }
        delete static_cast<int*>(nullptr);
    }
    EXPECT_EQ(kept, std::string(100, 'k'));
}

}  // namespace
}  // namespace postrider
