// U10: trouble with an account as the whole courier meets it, with a scripted dialler.
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/this_coro.hpp>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "delivery/courier.h"
#include "delivery/testing/answering_channel.h"
#include "net/event.h"
#include "queue/sqlite_spool.h"
#include "queue/testing/samples.h"

namespace postrider::delivery {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;

constexpr int kCount = 1000;

class PoliteChannel final : public AnsweringChannel {
public:
    net::Awaitable<Result<void>> send(std::string_view bytes, unsigned, MonotonicTime) override {
        if (bytes.starts_with("MAIL")) {
            replies_.insert(replies_.end(), {{250, "ok"}, {250, "ok"}, {354, "go"}});
        } else {
            replies_.emplace_back(250, "2.0.0 queued");
        }
        co_return Result<void>();
    }
};

class Gatekeeper final : public Dialler {
public:
    net::Awaitable<Dialled> dial(DialRequest request) override {
        Dialled result;
        if (request.gate != nullptr) {
            auto barred = co_await request.gate->enter();
            if (barred) {
                result.trouble = *std::move(barred);
                co_return result;
            }
        }
        ++logins;
        if (hanging) {
            net::Event never(co_await boost::asio::this_coro::executor);
            (void)co_await never.wait(clock.monotonic() + std::chrono::hours(1));
        }
        if (refusing) {
            result.trouble = classify(Stage::Auth, smtp::Reply(535, "5.7.8 no"), Peer());
            co_return result;
        }
        result.session = std::make_unique<Session>();
        result.session->channel = std::make_unique<PoliteChannel>();
        result.session->capabilities.pipelining = true;
        result.session->peer.host = "smtp.example.net";
        result.session->opened = clock.monotonic();
        result.session->ready = clock.now();
        co_return result;
    }
    SystemClock clock;
    int logins = 0;
    bool refusing = true;
    bool hanging = false;
};

/// Refuses to let waiting mail go, as with a full disk.
class ReluctantSpool final : public queue::SqliteSpool {
public:
    explicit ReluctantSpool(const Clock& clock)
        : SqliteSpool(Options(), true, clock, std::nullopt, UniqueFd()) {
        POSTRIDER_CHECK(start().has_value());
    }
    Result<std::uint64_t> wake(const queue::Account& account, std::optional<WallTime> reached,
                               std::size_t limit) override {
        if (refusals > 0) {
            --refusals;
            return Unexpected(ErrorCode::Unavailable, "database or disk is full");
        }
        return SqliteSpool::wake(account, reached, limit);
    }
    int refusals = 0;
};

class AccountTroubleTest : public testing::Test {
protected:
    AccountTroubleTest() {
        options.route.relayhost = "[smtp.example.net]:465";
        options.report.myhostname = "desk.example";
    }

    void submit(int count) {
        const std::string content = "Subject: x\r\n\r\nhello\r\n";
        ASSERT_TRUE(spool->begin());
        const std::uint64_t first = *spool->reserve(static_cast<std::uint32_t>(count));
        for (int i = 0; i < count; ++i) {
            auto message = queue::testing::message(first + static_cast<std::uint64_t>(i),
                                                   clock.now(), {"bob@corp.example"}, content);
            message.envelope.reverse_path = mail::Address("ann", "far.example");
            message.arrival = clock.now() - age;
            message.header_length = 14;
            ASSERT_TRUE(spool->commit(message, 0, content));
        }
        ASSERT_TRUE(spool->commit_transaction());
    }

    struct Step {
        std::function<bool()> reached;
        std::function<void(Courier&)> then;
    };
    /// A courier's life: each step is waited for.
    void live(const std::vector<Step>& steps) {
        boost::asio::io_context context;
        auto executor = context.get_executor();
        queue::Queue queue(std::move(spool), executor, clock, log, queue::Queue::Storage::Inline);
        Courier courier(options, maps, queue, dialler, clock, Ages(clock), executor, log);
        courier.on_alert([this](const Alert& alert) {
            alerts.push_back(alert.state);
            if (alert.state == "ok" && on_ok) on_ok();
        });
        queue.on_due([&courier] { courier.wake(); });
        const auto rethrow = [](std::exception_ptr trouble) {
            if (trouble) std::rethrow_exception(trouble);
        };
        boost::asio::co_spawn(context, courier.run(), rethrow);
        for (int i = 0; i < handlers_before; ++i) context.poll_one();
        if (at_once) at_once(courier);
        for (const Step& step : steps) {
            const auto deadline = std::chrono::steady_clock::now() + 60s;
            while (!step.reached() && std::chrono::steady_clock::now() < deadline) {
                context.run_for(20ms);  // To look after each handler would cost more than they do.
            }
            EXPECT_TRUE(step.reached());
            context.run_for(100ms);  // And whatever else follows from it.
            troubles = courier.troubles();
            if (step.then) step.then(courier);
        }
        boost::asio::co_spawn(context, courier.stop(), rethrow);
        context.run_for(10s);
    }

    int count(std::string_view text) const {
        int found = 0;
        for (const std::string& line : sink.lines()) found += line.find(text) != std::string::npos;
        return found;
    }

    SystemClock clock;
    Duration age{0};
    CapturedLog sink;
    Log log{sink, "postrider"};
    Options options;
    Maps maps;
    Gatekeeper dialler;
    std::unique_ptr<queue::Spool> spool = queue::Spool::open_in_memory(clock);
    std::vector<queue::AccountTrouble> troubles;
    std::vector<std::string> alerts;
    std::function<void()> on_ok;
    /// Said to the courier after so many handlers, while it learns what the last process knew.
    std::function<void(Courier&)> at_once;
    int handlers_before = 0;
};

// A thousand messages wait: one login, each message recorded once, one alert; when the operator has
// repaired it all of them go, and nothing is left of any backoff.
TEST_F(AccountTroubleTest, AThousandMessagesAreOneLoginAndFlowWhenItIsRepaired) {
    submit(kCount);
    const auto all_wait = [this] { return count("status=deferred") >= kCount; };
    const auto repair = [this](Courier& courier) {
        EXPECT_EQ(dialler.logins, 1);
        EXPECT_EQ(count("status=deferred"), kCount);
        EXPECT_EQ(count("account trouble"), 1);
        EXPECT_THAT(alerts, ElementsAre("login-refused"));
        dialler.refusing = false;
        courier.flush();
    };
    const auto all_sent = [this] { return count("status=sent") >= kCount; };
    live({{all_wait, repair}, {all_sent, {}}});
    EXPECT_EQ(count("status=sent"), kCount);
    EXPECT_THAT(alerts, ElementsAre("login-refused", "ok"));
    EXPECT_TRUE(troubles.empty());
    EXPECT_LE(dialler.logins, 6) << "a probe, and the window";
}

// Found by simulation: the disk was full at the moment at which the account worked again, and its
// mail waited for ever.
TEST_F(AccountTroubleTest, MailFlowsAlsoWhenTheQueueCouldNotRecordAtOnceThatTheAccountWorks) {
    auto reluctant = std::make_unique<ReluctantSpool>(clock);
    ReluctantSpool& store = *reluctant;
    spool = std::move(reluctant);
    submit(20);
    on_ok = [&store] { store.refusals = 2; };
    const auto all_wait = [this] { return count("status=deferred") >= 20; };
    const auto repair = [this](Courier& courier) {
        dialler.refusing = false;
        courier.flush();
    };
    const auto all_sent = [this] { return count("status=sent") >= 20; };
    live({{all_wait, repair}, {all_sent, {}}});
    EXPECT_EQ(count("status=sent"), 20);
}

TEST_F(AccountTroubleTest, AProbeThatFailsTouchesOneMessageAndTellsNobodyAgain) {
    submit(50);
    const auto all_wait = [this] { return count("status=deferred") >= 50; };
    const auto probe = [](Courier& courier) { courier.flush(); };
    const auto probed = [this] { return count("status=deferred") >= 51; };
    live({{all_wait, probe}, {probed, {}}});
    EXPECT_EQ(dialler.logins, 2);
    EXPECT_EQ(count("status=deferred"), 51);
    EXPECT_THAT(alerts, ElementsAre("login-refused"));
}

TEST_F(AccountTroubleTest, OldMailIsNotReturnedWhileTheAccountIsInTrouble) {
    age = 24h * 30;
    submit(3);
    live({{[this] { return count("status=deferred") >= 3; }, {}}});
    EXPECT_EQ(count("status=expired"), 0);
    EXPECT_EQ(count("non-delivery"), 0);
}

TEST_F(AccountTroubleTest, PausedMailWaitsWithoutALoginAndGoesWhenResumed) {
    dialler.refusing = false;
    const auto paused = [](Courier& courier) { courier.pause(""); };
    const auto wait = [this] {
        return troubles.empty() || troubles[0].trouble == queue::Trouble::Paused;
    };
    live({{wait, paused}, {wait, [](Courier& courier) { courier.resume(""); }}, {wait, {}}});
    EXPECT_EQ(dialler.logins, 0);
    EXPECT_TRUE(troubles.empty());
    EXPECT_TRUE(alerts.empty()) << "the operator knows";
}

// Found in a test of the programs: a pause in the first milliseconds was forgotten, and mail went.
TEST_F(AccountTroubleTest, APauseCountsWheneverItIsSaid) {
    dialler.refusing = false;
    at_once = [](Courier& courier) { courier.pause(""); };
    for (handlers_before = 0; handlers_before < 12; ++handlers_before) {
        spool = queue::Spool::open_in_memory(clock);
        submit(1);
        live({{[] { return true; }, {}}});
        ASSERT_EQ(troubles.size(), 1U) << "after " << handlers_before << " handlers";
        EXPECT_EQ(troubles[0].trouble, queue::Trouble::Paused);
    }
}

TEST_F(AccountTroubleTest, AndSoDoesItsEnd) {
    dialler.refusing = false;
    queue::AccountTrouble paused;
    paused.account.next_hops = options.route.relayhost;
    paused.trouble = queue::Trouble::Paused;
    at_once = [](Courier& courier) { courier.resume(""); };
    for (handlers_before = 0; handlers_before < 12; ++handlers_before) {
        spool = queue::Spool::open_in_memory(clock);
        ASSERT_TRUE(spool->begin());
        ASSERT_TRUE(spool->save(paused));
        ASSERT_TRUE(spool->commit_transaction());
        live({{[] { return true; }, {}}});
        ASSERT_TRUE(troubles.empty()) << "after " << handlers_before << " handlers";
    }
}

// The address sanitizer looks on: their coroutines end with the event loop, after the courier.
TEST_F(AccountTroubleTest, LoginsAndThoseWhoWaitForThemMayOutliveTheCourier) {
    dialler.hanging = true;
    submit(10);
    live({{[this] { return dialler.logins == 1; }, {}}});
    EXPECT_EQ(dialler.logins, 1);
}

TEST_F(AccountTroubleTest, LoginsAreCountedByTheMinute) {
    dialler.refusing = false;
    options.session.logins_per_minute = 3;
    options.pool.idle_max = 0s;  // Each message needs a connection of its own.
    submit(10);
    live({{[this] { return count("status=sent") >= 3; }, {}}});
    EXPECT_EQ(dialler.logins, 3);
    EXPECT_EQ(count("status=sent"), 3);
    EXPECT_EQ(count("status=bounced"), 0);
}

}  // namespace
}  // namespace postrider::delivery
