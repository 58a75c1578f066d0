#include "intake/client_rates.h"

#include <gtest/gtest.h>

namespace postrider::intake {
namespace {

using namespace std::chrono_literals;

constexpr MonotonicTime kStart{1h};

RateOptions two_messages() {
    RateOptions options;
    options.limits[static_cast<std::size_t>(RateEvent::Message)] = 2;
    return options;
}

TEST(ClientRates, SaysHowManyWereTooMany) {
    ClientRates rates(two_messages());
    EXPECT_EQ(rates.excess(RateEvent::Message, "192.0.2.1", kStart), 0U);
    EXPECT_EQ(rates.excess(RateEvent::Message, "192.0.2.1", kStart + 1s), 0U);
    EXPECT_EQ(rates.excess(RateEvent::Message, "192.0.2.1", kStart + 2s), 3U);
    EXPECT_EQ(rates.excess(RateEvent::Message, "192.0.2.1", kStart + 59s), 4U);
    EXPECT_EQ(rates.excess(RateEvent::Message, "192.0.2.2", kStart + 59s), 0U) << "another";
    EXPECT_EQ(rates.excess(RateEvent::Message, "192.0.2.1", kStart + 60s), 0U) << "a new minute";
}

TEST(ClientRates, CountsOnlyWhatHasALimit) {
    ClientRates rates(two_messages());
    for (int i = 0; i < 100; ++i) {
        EXPECT_EQ(rates.excess(RateEvent::Recipient, "192.0.2.1", kStart), 0U);
        EXPECT_EQ(rates.excess(RateEvent::Connection, "192.0.2.1", kStart), 0U);
    }
}

TEST(ClientRates, LeavesTheExemptAlone) {
    RateOptions options = two_messages();
    options.is_exempt = [](const std::string& address) { return address == "127.0.0.1"; };
    ClientRates rates(options);
    for (int i = 0; i < 100; ++i) {
        EXPECT_EQ(rates.excess(RateEvent::Message, "127.0.0.1", kStart), 0U);
    }
}

TEST(ClientRates, IsBounded) {
    ClientRates rates(two_messages());
    for (std::size_t i = 0; i < ClientRates::kClientsMax; ++i) {
        rates.excess(RateEvent::Message, std::to_string(i), kStart);
    }
    for (int i = 0; i < 9; ++i) {
        EXPECT_EQ(rates.excess(RateEvent::Message, "192.0.2.1", kStart + 10s), 0U) << "no room";
    }
    rates.excess(RateEvent::Message, "192.0.2.1", kStart + 60s);
    rates.excess(RateEvent::Message, "192.0.2.1", kStart + 60s);
    EXPECT_EQ(rates.excess(RateEvent::Message, "192.0.2.1", kStart + 60s), 3U);
}

}  // namespace
}  // namespace postrider::intake
