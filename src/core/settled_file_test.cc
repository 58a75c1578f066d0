#include "core/settled_file.h"

#include <cerrno>
#include <string>

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include <gtest/gtest.h>

#include "core/unique_fd.h"

namespace postrider {
namespace {

TEST(SettledFile, IsNotHadWhileAWriterHasItAndTheOtherWayRound) {
    std::string path = testing::TempDir() + "settled-XXXXXX";
    UniqueFd writer(::mkstemp(path.data()));
    ASSERT_TRUE(writer);
    const auto open = [&](int flags) {
        return UniqueFd(::open(path.c_str(), flags | O_NONBLOCK | O_CLOEXEC));
    };
    UniqueFd reader = open(O_RDONLY);
    EXPECT_FALSE(keep_writers_off(reader.get()));
    writer.reset();
    EXPECT_TRUE(keep_writers_off(reader.get()));

    // Others may read, and put another file in its place. A writer waits, or would.
    EXPECT_TRUE(keep_writers_off(open(O_RDONLY).get()));
    EXPECT_FALSE(open(O_WRONLY | O_TRUNC));
    EXPECT_EQ(errno, EWOULDBLOCK);
    reader.reset();
    EXPECT_TRUE(open(O_WRONLY));
    ::unlink(path.c_str());
}

TEST(SettledFile, IsTakenAsItIsWhereTheKernelGrantsNothing) {
    int ends[2];
    ASSERT_EQ(::pipe(ends), 0);
    EXPECT_TRUE(keep_writers_off(ends[0]));
    ::close(ends[0]);
    ::close(ends[1]);
}

}  // namespace
}  // namespace postrider
