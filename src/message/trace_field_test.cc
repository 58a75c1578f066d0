#include "message/trace_field.h"

#include <gtest/gtest.h>

namespace postrider::message {

TEST(TraceField, KnowsItsOwnStampHoweverItWasFolded) {
    struct Row {
        std::string_view value;
        bool ours;
    };
    for (const Row& row : {
             Row{"by desk.example (postrider)\n\tid 1; date", true},
             Row{"from a (b [::1])\n\tby desk.example (postrider) with ESMTP", true},
             Row{"from a (b [::1])\n BY \t Desk.Example\n (PostRider, from userid 0)", true},
             Row{"from by by by desk.example (postrider)", true},
             Row{"from a by other.example (postrider)", false},
             Row{"from a by desk.example (Postfix)", false},
             Row{"from a by desk.example.org (postrider)", false},
             Row{"from a standby desk.example (postrider)", false},
             Row{"from a by desk.example(postrider)", false},
             Row{"from a by desk.example", false},
             Row{"", false},
         }) {
        EXPECT_EQ(is_stamp_of("desk.example", "postrider", row.value), row.ours) << row.value;
    }
    EXPECT_TRUE(is_stamp_of("desk.example", "Post Rider", "by desk.example (post\n rider)"));
}

}  // namespace postrider::message
