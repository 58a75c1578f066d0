#include "delivery/transaction.h"

#include <deque>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/checksum.h"

namespace postrider::delivery {
namespace {

using Kind = mail::Disposition::Kind;

// Answers from a list; remembers what was said.
class ScriptedChannel final : public Channel {
public:
    explicit ScriptedChannel(std::vector<std::string>& heard) : heard_(heard) {}
    net::Awaitable<Result<void>> send(std::string_view bytes, unsigned, MonotonicTime) override {
        heard_.emplace_back(bytes);
        co_return Result<void>();
    }
    net::Awaitable<Result<smtp::Reply>> receive(MonotonicTime) override {
        if (replies.empty()) co_return Unexpected(ErrorCode::Connection, "closed");
        smtp::Reply reply = replies.front();
        replies.pop_front();
        co_return reply;
    }
    void expect(unsigned) override {}
    bool is_open() const override { return open_; }
    void close() override { open_ = false; }

    std::deque<smtp::Reply> replies;

private:
    std::vector<std::string>& heard_;
    bool open_ = true;
};

class OnePiece final : public ContentSource {
public:
    explicit OnePiece(std::string text) : text_(std::move(text)) {}
    net::Awaitable<Result<std::string>> read_piece(std::uint32_t piece) override {
        co_return piece == 0 ? text_ : std::string();
    }

private:
    std::string text_;
};

class TransactionTest : public testing::Test {
protected:
    TransactionTest() {
        auto own = std::make_unique<ScriptedChannel>(heard);
        channel = own.get();
        session.channel = std::move(own);
        session.peer.host = "smtp.example.net";
        session.peer.address = "192.0.2.7";
        session.capabilities.pipelining = true;
        session.capabilities.eight_bit_mime = true;
        lease.id = *mail::QueueId::parse("C3444A80215");
        lease.envelope.reverse_path = mail::Address("ann", "desk.example");
        lease.size = content.size();
        lease.content_length = content.size();
        lease.longest_line = 20;
        Checksum checksum;
        checksum.add(content);
        lease.checksum = checksum.value();
        add("bob");
        add("eve");
    }

    void add(const std::string& name) {
        queue::QueuedRecipient one;
        one.ordinal = static_cast<std::uint32_t>(lease.recipients.size());
        one.recipient = mail::Recipient(mail::Address(name, "corp.example"));
        lease.recipients.push_back(one);
    }

    Outcomes run(std::vector<smtp::Reply> replies) {
        channel->replies.assign(replies.begin(), replies.end());
        boost::asio::io_context context;
        Outcomes result;
        OnePiece source(content);
        std::vector<std::uint32_t> ordinals;
        for (const auto& one : lease.recipients) ordinals.push_back(one.ordinal);
        boost::asio::co_spawn(
            context, transact(session, lease, ordinals, source, options, clock, log, marks),
            [&](std::exception_ptr trouble, Outcomes out) {
                if (trouble) std::rethrow_exception(trouble);
                result = std::move(out);
            });
        context.run();
        return result;
    }

    static const mail::Disposition& of(const Outcomes& outcomes, std::uint32_t ordinal) {
        for (const auto& one : outcomes.settled) {
            if (one.ordinal == ordinal) return one.disposition;
        }
        static const mail::Disposition none;
        return none;
    }

    std::string content = "Subject: x\r\n\r\n.dot\r\n";
    std::vector<std::string> heard;
    Session session;
    ScriptedChannel* channel = nullptr;
    queue::Lease lease;
    TransactionOptions options;
    ManualClock clock;
    CapturedLog sink;
    Log log{sink, "smtp"};
    TransactionMarks marks;
};

const smtp::Reply kOk(250, "2.0.0 ok");
const smtp::Reply kGo(354, "go");
const smtp::Reply kQueued(250, "2.0.0 queued as 1");

TEST_F(TransactionTest, SaysTheEnvelopeAndDataInOneFlight) {
    const auto outcomes = run({kOk, kOk, kOk, kGo, kQueued});

    ASSERT_EQ(heard.size(), 2U);
    EXPECT_EQ(heard[0],
              "MAIL FROM:<ann@desk.example>\r\nRCPT TO:<bob@corp.example>\r\n"
              "RCPT TO:<eve@corp.example>\r\nDATA\r\n");
    EXPECT_EQ(heard[1], "Subject: x\r\n\r\n..dot\r\n.\r\n");
    EXPECT_EQ(of(outcomes, 0).kind, Kind::Sent);
    EXPECT_EQ(of(outcomes, 1).text, "250 2.0.0 queued as 1");
    EXPECT_TRUE(outcomes.reusable);
}

TEST_F(TransactionTest, SaysEverythingInOneFlightWithChunking) {
    session.capabilities.chunking = true;

    const auto outcomes = run({kOk, kOk, kOk, kQueued});

    ASSERT_EQ(heard.size(), 1U);
    EXPECT_TRUE(heard[0].ends_with("BDAT 20 LAST\r\nSubject: x\r\n\r\n.dot\r\n")) << heard[0];
    EXPECT_EQ(of(outcomes, 1).kind, Kind::Sent);
}

TEST_F(TransactionTest, WaitsForEachReplyWithoutPipelining) {
    session.capabilities.pipelining = false;

    const auto outcomes = run({kOk, kOk, kOk, kGo, kQueued});

    EXPECT_EQ(heard.size(), 5U);
    EXPECT_EQ(of(outcomes, 0).kind, Kind::Sent);
}

TEST_F(TransactionTest, KeepsApartWhatBecameOfEachRecipient) {
    const auto outcomes = run({kOk, smtp::Reply(550, "5.1.1 no"), kOk, kGo, kQueued});

    EXPECT_EQ(of(outcomes, 0).kind, Kind::Bounced);
    EXPECT_EQ(of(outcomes, 1).kind, Kind::Sent);
}

TEST_F(TransactionTest, EndsAnEmptyTransactionWithALoneDot) {
    const smtp::Reply no(550, "5.1.1 no");

    const auto outcomes = run({kOk, no, no, kGo, smtp::Reply(554, "5.5.1 nobody")});

    ASSERT_EQ(heard.size(), 2U);
    EXPECT_EQ(heard[1], ".\r\n");
    EXPECT_EQ(of(outcomes, 0).kind, Kind::Bounced);
    EXPECT_TRUE(outcomes.reusable);
}

TEST_F(TransactionTest, LeavesTheRestOverWhenTheTransactionIsFull) {
    const auto outcomes =
        run({kOk, kOk, smtp::Reply(452, "4.5.3 too many recipients"), kGo, kQueued});

    EXPECT_EQ(of(outcomes, 0).kind, Kind::Sent);
    EXPECT_EQ(outcomes.left_over, std::vector<std::uint32_t>{1});
}

TEST_F(TransactionTest, DefersWhenTheConnectionClosesAfterTheFinalDot) {
    const auto outcomes = run({kOk, kOk, kOk, kGo});

    EXPECT_EQ(of(outcomes, 0).kind, Kind::Deferred);
    EXPECT_EQ(of(outcomes, 0).text,
              "lost connection with smtp.example.net[192.0.2.7] while sending end of data -- "
              "message may be sent more than once");
    EXPECT_FALSE(outcomes.reusable);
    EXPECT_EQ(outcomes.trouble.reach, Reach::Session);
}

TEST_F(TransactionTest, IsStaleWhenAUsedSessionDiesWithoutAWord) {
    session.uses = 1;

    const auto outcomes = run({});

    EXPECT_TRUE(outcomes.stale);
    EXPECT_TRUE(outcomes.settled.empty());
}

// U2, P3: the whole message went out with the first words of the transaction.
TEST_F(TransactionTest, ALostAnswerMayBeADuplicateThoughTheConnectionHadBeenUsed) {
    session.uses = 1;
    session.last_heard = clock.monotonic();
    session.capabilities.chunking = true;

    const auto outcomes = run({});

    EXPECT_FALSE(outcomes.stale);
    EXPECT_THAT(of(outcomes, 0).text, testing::HasSubstr("message may be sent more than once"));
}

// U18: what may have been closed while it was idle is asked before the message is entrusted to it.
TEST_F(TransactionTest, AnIdleConnectionGetsNoContentBeforeItHasAnswered) {
    session.uses = 1;
    session.last_heard = clock.monotonic() - std::chrono::seconds(2);
    session.capabilities.chunking = true;

    EXPECT_TRUE(run({}).stale);
    ASSERT_EQ(heard.size(), 1U);
    EXPECT_THAT(heard[0], testing::Not(testing::HasSubstr("BDAT")));
}

TEST_F(TransactionTest, AnIdleConnectionThatAnswersGetsTheMessage) {
    session.uses = 1;
    session.last_heard = clock.monotonic() - std::chrono::seconds(2);
    session.capabilities.chunking = true;

    const auto outcomes = run({kOk, kOk, kOk, kQueued});

    EXPECT_EQ(of(outcomes, 0).kind, Kind::Sent);
    EXPECT_EQ(of(outcomes, 1).kind, Kind::Sent);
    EXPECT_TRUE(outcomes.reusable);
    EXPECT_EQ(heard.size(), 2U);
}

TEST_F(TransactionTest, NeverSendsTheEndOfDamagedContent) {
    lease.checksum ^= 1;

    const auto outcomes = run({kOk, kOk, kOk, kGo});

    EXPECT_EQ(heard.size(), 1U) << "no content, no dot";
    EXPECT_EQ(of(outcomes, 0).kind, Kind::Deferred);
    EXPECT_EQ(of(outcomes, 0).status, mail::EnhancedStatus(4, 3, 0));
    EXPECT_TRUE(outcomes.damaged);
    EXPECT_FALSE(outcomes.reusable);
    EXPECT_EQ(outcomes.trouble.reach, Reach::Message);
}

TEST_F(TransactionTest, BouncesWhatIsTooBigWithoutAWord) {
    session.capabilities.size_max = 10;

    const auto outcomes = run({});

    EXPECT_TRUE(heard.empty());
    EXPECT_EQ(of(outcomes, 0).status, mail::EnhancedStatus(5, 3, 4));
    EXPECT_TRUE(outcomes.reusable);
}

TEST_F(TransactionTest, BouncesWhatNeedsSmtputf8) {
    lease.envelope.smtputf8 = true;

    EXPECT_EQ(of(run({}), 0).status, mail::EnhancedStatus(5, 6, 7));
}

TEST_F(TransactionTest, PausesTheAccountOverAQuota) {
    const smtp::Reply quota(550, "5.4.5 Daily user sending limit exceeded");

    const auto outcomes =
        run({quota, smtp::Reply(503, "no"), smtp::Reply(503, "no"), smtp::Reply(503, "no")});

    EXPECT_EQ(of(outcomes, 0).kind, Kind::Deferred);
    EXPECT_EQ(outcomes.trouble.reach, Reach::Account);
}

TEST_F(TransactionTest, StopsAt421AndBlamesTheDestination) {
    const auto outcomes = run({smtp::Reply(421, "4.3.2 shutting down")});

    EXPECT_EQ(of(outcomes, 1).kind, Kind::Deferred);
    EXPECT_EQ(outcomes.trouble.reach, Reach::Destination);
    EXPECT_FALSE(outcomes.reusable);
}

// What an operator has said of an answer counts more than its code; the connection is lost all the
// same.
TEST_F(TransactionTest, A421ThatARowCallsThisMailsAffairBlamesNobodyElse) {
    auto rows = KnownAnswers::parse("mine", "any 421 * defer /greylisted/");
    ASSERT_TRUE(rows);
    options.known_answers = std::make_shared<const KnownAnswers>(*std::move(rows));

    const auto outcomes = run({smtp::Reply(421, "4.7.1 greylisted")});

    EXPECT_EQ(of(outcomes, 1).kind, Kind::Deferred);
    EXPECT_EQ(outcomes.trouble.reach, Reach::Message);
    EXPECT_FALSE(outcomes.reusable);

    const auto others = run({smtp::Reply(421, "4.3.2 shutting down")});
    EXPECT_EQ(others.trouble.reach, Reach::Destination);
}

}  // namespace
}  // namespace postrider::delivery
