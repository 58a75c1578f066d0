#include "recipients.h"

#include <string_view>
#include <utility>

#include <gtest/gtest.h>

namespace postrider::apps {
namespace {

TEST(RecipientsOfAHeader, AreFoundWhereTheDaemonWillFindThem) {
    const std::pair<std::string_view, bool> cases[] = {
        {"", false},
        {"To: a@x.example\n\nhello\n", true},
        {"Subject: s\r\nbcc:\r\n\ta@x.example\r\n\r\n", true},
        {"Cc: alice", true},
        {"From alice\nTo: alice\n", true},
        {"Subject: s\n\nTo: a@x.example\n", false},
        {"To: undisclosed-recipients:;\n", false},
        {"To:\nCc: (nobody)\n\n", false},
        {"no header\nTo: a@x.example\n", false},
        {"To: a@x.example\nResent-To: b@x.example\n", true},
    };
    for (const auto& [text, named] : cases) EXPECT_EQ(names_recipients(text), named) << text;
}

}  // namespace
}  // namespace postrider::apps
