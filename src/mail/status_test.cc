#include "mail/status.h"

#include <gtest/gtest.h>

namespace postrider::mail {

TEST(EnhancedStatus, IsReadAtTheStartOfAText) {
    EXPECT_EQ(parse_status("4.7.1 try later"), EnhancedStatus(4, 7, 1));
    EXPECT_EQ(parse_status("2.0.0"), EnhancedStatus(2, 0, 0));
    for (const char* text : {"3.0.0 x", "5.1", "5.1.1x", "5.1.1234", "", "a.b.c"}) {
        EXPECT_FALSE(parse_status(text)) << text;
    }
}

TEST(EnhancedStatus, IsSetApartFromItsText) {
    EXPECT_EQ(after_status("5.7.1 go away"), "go away");
    EXPECT_EQ(after_status("go away"), "go away");
}

}  // namespace postrider::mail
