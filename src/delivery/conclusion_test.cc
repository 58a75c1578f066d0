#include "delivery/conclusion.h"

#include <gtest/gtest.h>

namespace postrider::delivery {
namespace {

using namespace std::chrono_literals;

bool expires(std::chrono::hours age, WallTime no_expiry_until, bool by_operator = false) {
    const WallTime now{std::chrono::seconds(1795356000)};
    queue::Lease lease;
    lease.envelope.reverse_path = mail::Address("ann", "far.example");
    lease.arrival = now - age;
    lease.expire = by_operator;
    queue::QueuedRecipient bob;
    bob.ordinal = 1;
    bob.recipient.address = mail::Address("bob", "corp.example");
    lease.recipients.push_back(bob);
    queue::Outcome put_off;
    put_off.ordinal = 1;
    put_off.disposition.kind = mail::Disposition::Kind::Deferred;
    return conclude(lease, {put_off}, {}, RetryOptions(), now, no_expiry_until).expired;
}

TEST(Conclusion, ExpiresWhatIsTooOld) {
    EXPECT_FALSE(expires(119h, {}));
    EXPECT_TRUE(expires(120h, {}));
}

// RS9.
TEST(Conclusion, GivesMailThatHadNoNetworkSomeTimeMore) {
    const WallTime later{std::chrono::seconds(1795356000) + 30min};
    EXPECT_FALSE(expires(120h, later));
    EXPECT_FALSE(expires(239h, later));
    EXPECT_TRUE(expires(240h, later)) << "not for ever";
    EXPECT_TRUE(expires(120h, WallTime{std::chrono::seconds(1795356000)}));
    EXPECT_TRUE(expires(1h, later, true)) << "the operator has said so";
}

}  // namespace
}  // namespace postrider::delivery
