// Whoever has much to send does not keep the others waiting.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "directed_smarthost.h"

namespace postrider::simulation {
namespace {

using namespace std::chrono_literals;
using testing::SizeIs;

/// Each transaction takes a second.
Answer unhurried(const Question& question) {
    Answer answer;
    if (question.step == Step::End) answer.late = 1s;
    return answer;
}

std::vector<Duration> arrivals_for(const CourierWorld& courier, std::string_view recipient) {
    std::vector<Duration> when;
    for (const auto& taken : courier.smarthost.taken) {
        for (const std::string& one : taken.recipients) {
            if (one == recipient) when.push_back(taken.when);
        }
    }
    return when;
}

// Q10: its recipients go fifty at a time, and between two of them the others have their turn.
TEST(AMessageWithThousandsOfRecipients, TakesTurnsWithTheOthers) {
    CourierWorld courier;
    courier.smarthost.director = unhurried;
    courier.settings.delivery.concurrency.initial = 1;
    courier.settings.delivery.concurrency.limit = 1;
    courier.start();

    CourierWorld::Letter large;
    large.to.clear();
    for (int i = 0; i < 10'000; ++i) large.to.push_back("m" + std::to_string(i) + "@list.example");
    courier.submit({large});
    courier.let_pass(5s);
    courier.submit(std::vector<CourierWorld::Letter>(5));
    courier.let_pass(15s);

    // Five of them and a transaction of the large one between any two: about ten seconds.
    EXPECT_THAT(arrivals_for(courier, "bob@corp.example"), SizeIs(5));
    courier.let_pass(10min);
    std::size_t recipients = 0;
    for (const auto& taken : courier.smarthost.taken) recipients += taken.recipients.size();
    EXPECT_EQ(recipients, 10'005U);
    EXPECT_EQ(courier.queued(), 0U);
}

/// When the one message of a user arrives while another's 1,000 wait, at a transaction a second.
Duration wait_beside_a_flood(std::uint32_t flooding, std::uint32_t other) {
    CourierWorld courier;
    courier.smarthost.director = unhurried;
    courier.settings.delivery.concurrency.initial = 2;
    courier.settings.delivery.concurrency.limit = 2;
    courier.settings.delivery.concurrency.sessions_max = 2;
    courier.start();
    CourierWorld::Letter one_of_many;
    one_of_many.uid = flooding;
    courier.submit(std::vector<CourierWorld::Letter>(1000, one_of_many));
    courier.let_pass(60s);

    CourierWorld::Letter single;
    single.from = "carol@desk.example";
    single.to = {"dave@corp.example"};
    single.uid = other;
    const Duration begun = courier.world.elapsed();
    courier.submit({single});
    const bool came =
        courier.until([&] { return !arrivals_for(courier, "dave@corp.example").empty(); }, 3h);
    EXPECT_TRUE(came);
    return came ? arrivals_for(courier, "dave@corp.example").front() - begun : Duration(24h);
}

// L11.
TEST(AUserWithThousandsOfMessages, DoesNotDelayAnothersFirst) {
    EXPECT_LT(wait_beside_a_flood(1001, 1002), 5s);
}

TEST(AUserWithThousandsOfMessages, ControlDelaysTheirOwnNext) {
    EXPECT_GT(wait_beside_a_flood(1001, 1001), 5min);
}

}  // namespace
}  // namespace postrider::simulation
