#include "net/network_watch.h"

#include <thread>

#include <sched.h>

#include <gtest/gtest.h>

#include "core/clock.h"
#include "net/run.h"

namespace postrider::net {
namespace {

using namespace std::chrono_literals;

TEST(Settling, IsShortForANetworkThatComesAndStays) {
    Settling settling;
    const MonotonicTime begin{1h};
    EXPECT_EQ(settling.delay(begin), 200ms);
    // Link and address first, the default route a moment later: still within a second.
    settling.reported(begin + 200ms);
    EXPECT_EQ(settling.delay(begin + 300ms), 400ms);
    EXPECT_EQ(settling.delay(begin + 10min), 200ms);
}

TEST(Settling, GrowsForOneThatComesAndGoes) {
    Settling settling;
    MonotonicTime now{1h};
    int believed = 0;
    for (const MonotonicTime end = now + 10min; now < end; ++believed) {
        now += settling.delay(now);
        EXPECT_LE(settling.delay(now), Settling::kLongest);
        settling.reported(now);
    }
    // At once, then ever slower: not 600 times in ten minutes.
    EXPECT_LE(believed, 30);
    EXPECT_GE(believed, 20);
    EXPECT_EQ(settling.delay(now + 5min), Settling::kFirst);
}

TEST(NetworkWatch, KnowsAMachineThatHasOnlyItself) {
    // A namespace of its own, for this thread alone.
    bool made = false;
    bool online = true;
    std::thread([&] {
        made = ::unshare(CLONE_NEWNET) == 0;
        if (!made) return;
        boost::asio::io_context loop;
        const SystemClock clock;
        auto watch = NetworkWatch::open(loop.get_executor(), clock);
        ASSERT_TRUE(watch) << watch.error().message;
        online = (*watch)->online();
    }).join();
    if (!made) GTEST_SKIP() << "no network namespaces here";
    EXPECT_FALSE(online);
}

}  // namespace
}  // namespace postrider::net
