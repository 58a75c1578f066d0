#include "delivery/courier.h"

#include <functional>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "delivery/testing/answering_channel.h"
#include "queue/testing/samples.h"

namespace postrider::delivery {
namespace {

using testing::Contains;
using testing::HasSubstr;

// Says yes to everything, or what the test says about RCPT.
class AgreeableChannel final : public AnsweringChannel {
public:
    AgreeableChannel(const smtp::Reply& to_rcpt, std::vector<std::string>& heard)
        : to_rcpt_(to_rcpt), heard_(heard) {}
    net::Awaitable<Result<void>> send(std::string_view bytes, unsigned, MonotonicTime) override {
        const std::string& said = heard_.emplace_back(bytes);
        std::size_t rcpts = 0;
        for (std::size_t at = 0; (at = said.find("RCPT TO", at)) != std::string::npos; ++at) {
            ++rcpts;
        }
        if (said.starts_with("MAIL")) {
            replies_.emplace_back(250, "ok");
            // Senders exist.
            const bool report = said.starts_with("MAIL FROM:<>");
            const smtp::Reply to_rcpt = report ? smtp::Reply(250, "ok") : to_rcpt_;
            for (std::size_t i = 0; i < rcpts; ++i) replies_.push_back(to_rcpt);
            replies_.push_back(to_rcpt.is_positive() ? smtp::Reply(354, "go")
                                                     : smtp::Reply(554, "nobody"));
        } else {
            replies_.emplace_back(250, "2.0.0 queued");
        }
        co_return Result<void>();
    }

private:
    smtp::Reply to_rcpt_;
    std::vector<std::string>& heard_;
};

class FakeDialler final : public Dialler {
public:
    net::Awaitable<Dialled> dial(DialRequest) override {
        ++dialled;
        Dialled result;
        if (trouble) {
            result.trouble = *trouble;
            co_return result;
        }
        result.session = std::make_unique<Session>();
        result.session->channel = std::make_unique<AgreeableChannel>(to_rcpt, said);
        result.session->capabilities.pipelining = true;
        result.session->peer.host = "smtp.example.net";
        result.session->peer.address = "192.0.2.7";
        result.session->peer.port = 465;
        result.session->opened = MonotonicTime(std::chrono::hours(1));
        co_return result;
    }
    bool can_reach(const std::string&) const override { return reachable; }
    int dialled = 0;
    bool reachable = true;
    std::optional<Verdict> trouble;
    smtp::Reply to_rcpt{250, "ok"};
    std::vector<std::string> said;
};

class CourierTest : public testing::Test {
protected:
    CourierTest() {
        options.route.relayhost = "[smtp.example.net]:465";
        options.report.myhostname = "desk.example";
        options.report.myorigin = "desk.example";
        options.route.is_local = [](std::string_view domain) { return domain == "desk.example"; };
    }

    std::uint64_t reserve(std::uint32_t count) {
        EXPECT_TRUE(spool->begin());
        const std::uint64_t first = *spool->reserve(count);
        EXPECT_TRUE(spool->commit_transaction());
        return first;
    }

    void submit(std::uint64_t number, const std::string& domain, bool null_sender = false) {
        const std::string content = "Subject: x\r\n\r\nhello\r\n";
        auto message = queue::testing::message(number, clock.now(), {"bob@" + domain}, content);
        message.envelope.reverse_path = mail::Address();
        if (!null_sender) message.envelope.reverse_path = mail::Address("ann", "far.example");
        message.header_length = 14;
        ASSERT_TRUE(spool->begin());
        ASSERT_TRUE(spool->commit(message, 0, content));
        ASSERT_TRUE(spool->commit_transaction());
    }

    // In two pieces, and with a checksum that is not theirs: as if a bit had changed since.
    void submit_damaged() {
        const std::string head = "Subject: x\r\n\r\n";
        const std::string body = "changed\r\n";
        auto message =
            queue::testing::message(reserve(1), clock.now(), {"bob@corp.example"}, head + body);
        message.envelope.reverse_path = mail::Address("ann", "far.example");
        message.header_length = 14;
        message.checksum = 1;
        ASSERT_TRUE(spool->begin());
        ASSERT_TRUE(spool->append(message.ticket.number, 0, head));
        ASSERT_TRUE(spool->commit(message, 1, body));
        ASSERT_TRUE(spool->commit_transaction());
    }

    // Runs until nothing is left to do for a moment.
    void run() {
        boost::asio::io_context context;
        auto executor = context.get_executor();
        queue::Queue queue(std::move(spool), executor, system, log, queue::Queue::Storage::Inline);
        Courier courier(options, maps, queue, dialler, system, Ages(system), executor, log);
        courier.on_alert([this](const Alert& alert) { alerts.push_back(alert.state); });
        queue.on_due([&courier] { courier.wake(); });
        boost::asio::co_spawn(context, courier.run(), [](std::exception_ptr trouble) {
            if (trouble) std::rethrow_exception(trouble);
        });
        if (meanwhile) {
            settle(context);
            meanwhile(courier);
        }
        settle(context);
        status = courier.status();
        troubles = courier.troubles();
        boost::asio::co_spawn(context, courier.stop(), [](std::exception_ptr trouble) {
            if (trouble) std::rethrow_exception(trouble);
        });
        context.run_for(kPatience);
    }

    // However slow the machine is, what is ready is run. What waits for a timer is not.
    static void settle(boost::asio::io_context& context) {
        const auto end = std::chrono::steady_clock::now() + kPatience;
        while (context.run_one_for(std::chrono::milliseconds(50)) > 0) {
            ASSERT_LT(std::chrono::steady_clock::now(), end) << "never comes to rest";
        }
    }
    static constexpr std::chrono::seconds kPatience{10};

    SystemClock system;
    SystemClock& clock = system;
    CapturedLog sink;
    Log log{sink, "postrider"};
    Options options;
    Maps maps;
    FakeDialler dialler;
    std::function<void(Courier&)> meanwhile;
    std::unique_ptr<queue::Spool> spool = queue::Spool::open_in_memory(system);
    std::vector<DestinationStatus> status;
    std::vector<queue::AccountTrouble> troubles;
    std::vector<std::string> alerts;
    std::vector<std::string>& said = dialler.said;
};

TEST_F(CourierTest, SendsWhatIsDueAndReusesTheConnection) {
    const std::uint64_t numbers = reserve(3);
    for (std::uint64_t i = 0; i < 3; ++i) submit(numbers + i, "corp.example");
    options.concurrency.initial = 1;
    options.concurrency.limit = 1;
    dialler.to_rcpt = smtp::Reply(250, "ok");

    run();

    EXPECT_THAT(sink.lines(), Contains(HasSubstr("status=sent (250 2.0.0 queued)")).Times(3));
    EXPECT_THAT(sink.lines(), Contains(HasSubstr(": removed")).Times(3));
    ASSERT_EQ(status.size(), 1U);
    EXPECT_EQ(status[0].sent, 3U);
}

TEST_F(CourierTest, ReportsARefusedRecipientToTheSender) {
    submit(reserve(1), "corp.example");
    dialler.to_rcpt = smtp::Reply(550, "5.1.1 no such user");

    run();

    EXPECT_THAT(sink.lines(), Contains(HasSubstr("dsn=5.1.1, status=bounced")));
    EXPECT_THAT(sink.lines(), Contains(HasSubstr("sender non-delivery notification")));
}

// D13.
TEST_F(CourierTest, PutsADamagedMessageOnHoldAndTellsAPerson) {
    submit_damaged();
    submit(reserve(1), "corp.example");
    options.retry.minimal_backoff = std::chrono::seconds(0);

    run();

    EXPECT_THAT(sink.lines(), Contains(HasSubstr("status=deferred (queue file read")).Times(1));
    EXPECT_THAT(sink.lines(), Contains(HasSubstr("put on hold: its stored content is damaged")));
    EXPECT_THAT(alerts, testing::ElementsAre("damaged-mail"));
    EXPECT_THAT(sink.lines(), Contains(HasSubstr("status=sent")).Times(1)) << "the other goes";
}

TEST_F(CourierTest, ReturnsOfADamagedMessageItsHeaderAlone) {
    submit_damaged();
    dialler.to_rcpt = smtp::Reply(550, "5.1.1 no such user");

    run();

    EXPECT_THAT(sink.lines(), Contains(HasSubstr("sender non-delivery notification")));
    EXPECT_THAT(said, Contains(HasSubstr("text/rfc822-headers")));
    EXPECT_THAT(said, Not(Contains(HasSubstr("changed"))));
}

TEST_F(CourierTest, PausesTheAccountAfterOneRefusedLogin) {
    const std::uint64_t numbers = reserve(2);
    submit(numbers, "corp.example");
    options.concurrency.initial = 1;
    submit(numbers + 1, "corp.example");
    dialler.trouble = classify(Stage::Auth, smtp::Reply(535, "5.7.8 no"), Peer());

    run();

    EXPECT_EQ(dialler.dialled, 1);
    EXPECT_THAT(sink.lines(), Contains(HasSubstr("account trouble")).Times(1));
    EXPECT_THAT(sink.lines(), Contains(HasSubstr("delivery temporarily suspended: SASL")));
    ASSERT_EQ(troubles.size(), 1U);
    EXPECT_EQ(troubles[0].trouble, queue::Trouble::LoginRefused);
}

TEST_F(CourierTest, BouncesLocalMailWithAHint) {
    submit(reserve(1), "desk.example");

    run();

    EXPECT_THAT(sink.lines(), Contains(HasSubstr("alias_maps")));
    EXPECT_EQ(dialler.dialled, 1) << "only the report needs a connection";
}

// RS9.
TEST_F(CourierTest, WaitsForTheNetworkWithoutAnAttempt) {
    submit(reserve(1), "corp.example");
    dialler.reachable = false;

    run();

    EXPECT_EQ(dialler.dialled, 0);
    EXPECT_THAT(sink.lines(), Not(Contains(HasSubstr("status="))));
    ASSERT_EQ(status.size(), 1U);
    EXPECT_TRUE(status[0].offline);
}

TEST_F(CourierTest, SendsWhenTheNetworkIsBack) {
    submit(reserve(1), "corp.example");
    dialler.reachable = false;
    meanwhile = [this](Courier& courier) {
        EXPECT_EQ(dialler.dialled, 0);
        dialler.reachable = true;
        courier.network_changed(true);
    };

    run();

    EXPECT_EQ(dialler.dialled, 1);
    EXPECT_THAT(sink.lines(), Contains(HasSubstr("status=sent")));
    EXPECT_THAT(sink.lines(), Not(Contains(HasSubstr("status=deferred"))));
}

TEST_F(CourierTest, TriesAgainOverAnotherNetworkAndAfterASleep) {
    for (const bool slept : {false, true}) {
        spool = queue::Spool::open_in_memory(system);
        dialler.dialled = 0;
        dialler.trouble =
            classify(Stage::Connect, Error{ErrorCode::Timeout, "connect: timed out"}, Peer());
        submit(reserve(1), "corp.example");
        meanwhile = [this, slept](Courier& courier) {
            EXPECT_EQ(dialler.dialled, 1);
            dialler.trouble.reset();
            if (slept) {
                courier.resumed(std::chrono::hours(8));
            } else {
                courier.network_changed(true);
            }
        };

        run();

        EXPECT_EQ(dialler.dialled, 2) << slept;
    }
    EXPECT_THAT(sink.lines(), Contains(HasSubstr("status=sent")).Times(2));
}

// The control: nothing but time would have it tried again.
TEST_F(CourierTest, TriesNotAgainWhenTheNetworkIsTheSame) {
    dialler.trouble =
        classify(Stage::Connect, Error{ErrorCode::Timeout, "connect: timed out"}, Peer());
    submit(reserve(1), "corp.example");
    meanwhile = [this](Courier& courier) {
        dialler.trouble.reset();
        courier.network_changed(false);
        courier.wake();
    };

    run();

    EXPECT_EQ(dialler.dialled, 1);
}

TEST_F(CourierTest, AnotherNetworkMendsNoPassword) {
    dialler.trouble = classify(Stage::Auth, smtp::Reply(535, "5.7.8 no"), Peer());
    submit(reserve(1), "corp.example");
    meanwhile = [](Courier& courier) { courier.network_changed(true); };

    run();

    EXPECT_EQ(dialler.dialled, 1) << "no second login";
}

}  // namespace
}  // namespace postrider::delivery
