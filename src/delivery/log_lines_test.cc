#include "delivery/log_lines.h"

#include <gtest/gtest.h>

namespace postrider::delivery {
namespace {

using namespace std::chrono_literals;

const mail::QueueId kId = *mail::QueueId::parse("C3444A80215");

mail::Disposition disposition(mail::Disposition::Kind kind, mail::EnhancedStatus status,
                              std::string text) {
    mail::Disposition what;
    what.kind = kind;
    what.status = status;
    what.text = std::move(text);
    return what;
}

TEST(LogLines, TellOfADeliveryAsPostfixDoes) {
    Passage passage;
    passage.relay = "smtp.example.net[192.0.2.7]:465";
    passage.delays = Delays{150ms, 10ms, 10ms, 90ms, 40ms};
    const auto sent =
        disposition(mail::Disposition::Kind::Sent, {2, 0, 0}, "250 2.0.0 OK 1556668753 x - gsmtp");

    EXPECT_EQ(status_line(kId, mail::Recipient({"bob", "corp.example"}), sent, passage),
              "C3444A80215: to=<bob@corp.example>, relay=smtp.example.net[192.0.2.7]:465, "
              "delay=0.15, delays=0.01/0.01/0.09/0.04, dsn=2.0.0, status=sent (250 2.0.0 OK "
              "1556668753 x - gsmtp)");
}

TEST(LogLines, NameTheAliasAndTheReuse) {
    Passage passage;
    passage.uses = 2;
    mail::Recipient recipient({"ann", "corp.example"});
    recipient.original = mail::Address("root", "");
    const auto later = disposition(mail::Disposition::Kind::Deferred, {4, 4, 1}, "connect to x");

    EXPECT_EQ(status_line(kId, recipient, later, passage),
              "C3444A80215: to=<ann@corp.example>, orig_to=<root>, relay=none, conn_use=2, "
              "delay=0, delays=0/0/0/0, dsn=4.4.1, status=deferred (connect to x)");
}

TEST(LogLines, LeaveOutAnOriginalThatDiffersInCaseOnly) {
    mail::Recipient recipient({"ann", "corp.example"});
    recipient.original = mail::Address("Ann", "Corp.Example");
    const auto no = disposition(mail::Disposition::Kind::Bounced, {5, 1, 1}, "no");

    EXPECT_EQ(status_line(kId, recipient, no, Passage{}),
              "C3444A80215: to=<ann@corp.example>, relay=none, delay=0, delays=0/0/0/0, "
              "dsn=5.1.1, status=bounced (no)");
}

TEST(LogLines, HaveTheFormsOfQmgrAndBounce) {
    const mail::QueueId report = *mail::QueueId::parse("A27DEA800E8");

    EXPECT_EQ(active_line(kId, {"ann", "desk.example"}, 155, 1),
              "C3444A80215: from=<ann@desk.example>, size=155, nrcpt=1 (queue active)");
    EXPECT_EQ(active_line(kId, {}, 2132, 1),
              "C3444A80215: from=<>, size=2132, nrcpt=1 (queue active)");
    EXPECT_EQ(removed_line(kId), "C3444A80215: removed");
    EXPECT_EQ(expired_line(kId, {"ann", "x"}, false),
              "C3444A80215: from=<ann@x>, status=expired, returned to sender");
    EXPECT_EQ(expired_line(kId, {"ann", "x"}, true),
              "C3444A80215: from=<ann@x>, status=force-expired, returned to sender");
    EXPECT_EQ(notice_line(kId, Notice::NonDelivery, report),
              "C3444A80215: sender non-delivery notification: A27DEA800E8");
    EXPECT_EQ(notice_line(kId, Notice::Delay, report),
              "C3444A80215: sender delay notification: A27DEA800E8");
    EXPECT_EQ(notice_line(kId, Notice::Success, report),
              "C3444A80215: sender delivery status notification: A27DEA800E8");
}

}  // namespace
}  // namespace postrider::delivery
