#include "delivery/delays.h"

#include <gtest/gtest.h>

namespace postrider::delivery {
namespace {

using namespace std::chrono_literals;

TEST(Delays, AreRoundedAsPostfixDoes) {
    const std::pair<Duration, const char*> cases[] = {
        {0us, "0"},        {4ms, "0"},        {5ms, "0.01"},   {100ms, "0.1"}, {126ms, "0.13"},
        {996ms, "1"},      {1040ms, "1"},     {1260ms, "1.3"}, {9960ms, "10"}, {12500ms, "13"},
        {301200ms, "301"}, {86400s, "86400"}, {150ms, "0.15"}, {1950ms, "2"},
    };
    for (const auto& [time, text] : cases) EXPECT_EQ(rounded(time, 2), text) << time.count();
}

TEST(Delays, FollowTheResolutionLimit) {
    EXPECT_EQ(rounded(499ms, 0), "0");
    EXPECT_EQ(rounded(1500ms, 0), "2");
    EXPECT_EQ(rounded(126ms, 1), "0.1");
    EXPECT_EQ(rounded(1260us, 4), "0.0013");
    EXPECT_EQ(rounded(1us, 6), "0.000001");
}

TEST(Delays, AreMeasuredBetweenStations) {
    Stations at;
    at.arrival = WallTime{100s};
    at.activated = WallTime{100s + 10ms};
    at.taken = WallTime{100s + 20ms};
    at.connected = WallTime{100s + 110ms};
    at.finished = WallTime{100s + 150ms};

    EXPECT_EQ(delay_fields(measure(at), 2), "delay=0.15, delays=0.01/0.01/0.09/0.04");
}

TEST(Delays, CountTheAgentsTimeAsTransmissionWithoutASession) {
    Stations at;
    at.arrival = WallTime{100s};
    at.activated = WallTime{401s};
    at.taken = WallTime{401s + 10ms};
    at.finished = WallTime{401s + 30ms};

    EXPECT_EQ(delay_fields(measure(at), 2), "delay=301, delays=301/0.01/0/0.02");
}

TEST(Delays, AreZeroWhenTheClockStepsBack) {
    Stations at;
    at.arrival = WallTime{100s};
    at.activated = WallTime{50s};
    at.taken = WallTime{51s};
    at.finished = WallTime{51s};

    EXPECT_EQ(delay_fields(measure(at), 2), "delay=0, delays=0/1/0/0");
}

}  // namespace
}  // namespace postrider::delivery
