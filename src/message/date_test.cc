#include "message/date.h"

#include <gtest/gtest.h>

namespace postrider::message {
namespace {

using namespace std::chrono_literals;

WallTime at(std::int64_t seconds) {
    return WallTime(std::chrono::seconds(seconds));
}

TEST(MailDate, WritesLocalTimeWithItsOffsetAndName) {
    EXPECT_EQ(mail_date(at(1795356155), Zone()), "Sun, 22 Nov 2026 14:02:35 +0000 (UTC)");
    EXPECT_EQ(mail_date(at(1795356155), Zone(60min, "CET")),
              "Sun, 22 Nov 2026 15:02:35 +0100 (CET)");
    EXPECT_EQ(mail_date(at(1556667372), Zone(-360min, "MDT")),
              "Tue, 30 Apr 2019 17:36:12 -0600 (MDT)");
    EXPECT_EQ(mail_date(at(1795356155), Zone(345min, "")), "Sun, 22 Nov 2026 19:47:35 +0545");
}

TEST(MailDate, CrossesMidnightAndTheYear) {
    EXPECT_EQ(mail_date(at(1798760700), Zone(60min, "CET")),
              "Fri,  1 Jan 2027 00:45:00 +0100 (CET)");
    EXPECT_EQ(mail_date(at(0), Zone(-60min, "")), "Wed, 31 Dec 1969 23:00:00 -0100");
}

}  // namespace
}  // namespace postrider::message
