#include "core/code_pages.h"

#include <cstdint>
#include <fstream>
#include <sstream>
#include <string>

#include <sys/mman.h>
#include <unistd.h>

#include <gtest/gtest.h>

namespace postrider {
namespace {

/// The program's code that this process has in memory, in KB.
std::size_t resident_code() {
    std::ifstream maps("/proc/self/smaps");
    std::size_t sum = 0;
    bool is_code = false;
    for (std::string line; std::getline(maps, line);) {
        if (line.find(" r-xp ") != line.npos) {
            is_code = line.find('/') != line.npos;
        } else if (line.find("-") < line.find(' ')) {
            is_code = false;
        }
        if (is_code && line.starts_with("Rss:")) sum += std::stoul(line.substr(4));
    }
    return sum;
}

// Relocated: written to before main(), and constant afterwards.
const char* const kWords[] = {"one", "two", "three"};
std::string written = "before";

TEST(CodePages, TakesCodeOutOfMemoryAndGoesOn) {
    written = "after";
    const std::size_t before = resident_code();
    forget_code_pages();
    const std::size_t after = resident_code();
    EXPECT_LT(after, before);
    const char* const* words = kWords;
    asm volatile("" : "+r"(words));
    EXPECT_STREQ(words[2], "three");
    EXPECT_EQ(written, "after");
    std::ostringstream text;
    text << 42 << ' ' << 1.5;
    EXPECT_EQ(text.str(), "42 1.5");
}

}  // namespace
}  // namespace postrider
