#include "intake/smtp_server.h"

#include <array>
#include <filesystem>

#include <unistd.h>

#include <boost/asio/ip/address.hpp>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "intake/fakes.h"
#include "net/connect.h"
#include "net/manual_timers.h"
#include "net/run.h"

namespace postrider::intake {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::StartsWith;

class SmtpServerTest : public testing::Test {
protected:
    SmtpServerTest() {
        std::string pattern = std::filesystem::temp_directory_path() / "smtp_server.XXXXXX";
        folder = ::mkdtemp(pattern.data());
        dialogue.myhostname = "desk.example";
        // Sockets wait by the real clock: what is planned by this one must not be over for them.
        const auto ahead = std::chrono::steady_clock::now() + 1h - timers.now();
        timers.manual_clock().advance(std::chrono::duration_cast<Duration>(ahead));
    }
    ~SmtpServerTest() override {
        if (server) {
            boost::asio::co_spawn(loop, server->stop(std::chrono::steady_clock::now()),
                                  [](const std::exception_ptr& thrown) { EXPECT_FALSE(thrown); });
            loop.restart();
            loop.run();
        }
        std::filesystem::remove_all(folder);
    }

    void limit_connections(std::size_t count) {
        RateOptions limited;
        limited.limits[static_cast<std::size_t>(RateEvent::Connection)] = count;
        rates.emplace(limited);
        services.rates = &*rates;
    }

    void serve() {
        server.emplace(loop.get_executor(), services, submission, options);
        auto tcp = net::listen_tcp(*net::parse_ip_literal("127.0.0.1"), 0);
        sockaddr_in bound{};
        socklen_t size = sizeof bound;
        ASSERT_TRUE(tcp);
        ASSERT_EQ(::getsockname(tcp->get(), reinterpret_cast<sockaddr*>(&bound), &size), 0);
        port = ntohs(bound.sin_port);
        ASSERT_TRUE(server->listen(std::move(*tcp), SmtpServer::Door::Smtp));
        auto local = net::listen_unix(folder / "smtp", 0600);
        ASSERT_TRUE(local);
        ASSERT_TRUE(server->listen(std::move(*local), SmtpServer::Door::Smtp));
    }

    using Stream = std::unique_ptr<net::SocketStream>;

    Stream call() {
        net::HostAddress here;
        here.host = "localhost";
        here.address = *net::parse_ip_literal("127.0.0.1");
        auto connected = net::run(loop, net::connect({here}, port, {}, soon()));
        EXPECT_TRUE(connected && connected->stream);
        return std::move(connected->stream);
    }
    Stream call_locally() {
        auto connected = net::run(loop, net::connect_unix(folder / "smtp", soon()));
        EXPECT_TRUE(connected);
        return std::move(*connected);
    }
    /// What the server says next; nothing when it has closed the connection.
    std::string heard(const Stream& client) {
        std::array<char, 512> bytes;
        auto size = net::run(loop, client->read_some(bytes, soon()));
        EXPECT_TRUE(size) << "the server is silent";
        return size ? std::string(bytes.data(), *size) : "";
    }
    std::string asked(const Stream& client, const std::string& command) {
        EXPECT_TRUE(net::run(loop, net::write(*client, command, soon())));
        return heard(client);
    }
    static MonotonicTime soon() { return std::chrono::steady_clock::now() + 20s; }

    boost::asio::io_context loop;
    net::ManualTimers timers{loop.get_executor()};
    CapturedLog lines;
    Log log{lines, "intake"};
    DialogueOptions dialogue;
    SessionOptions session;
    message::CleanupOptions cleanup;
    FakeInbox inbox;
    SubmissionOptions submission;
    ServerOptions options;
    std::optional<ClientRates> rates;
    Services services{dialogue, session, cleanup, inbox, timers, log};
    std::filesystem::path folder;
    std::uint16_t port = 0;
    std::optional<SmtpServer> server;
};

TEST_F(SmtpServerTest, TurnsAwayWhoComesTooOftenAndServesItInTheNextTimeUnit) {
    limit_connections(2);
    serve();
    const Stream first = call();
    EXPECT_THAT(heard(first), StartsWith("220 desk.example "));
    Stream second = call();
    EXPECT_THAT(heard(second), StartsWith("220 "));
    second.reset();  // What counts is that it came, not whether it is still here.

    const Stream third = call();

    EXPECT_EQ(heard(third),
              "421 4.7.0 desk.example Error: too many connections from 127.0.0.1\r\n");
    EXPECT_EQ(heard(third), "") << "it is not kept waiting";
    EXPECT_EQ(asked(first, "NOOP\r\n"), "250 2.0.0 Ok\r\n") << "who was let in stays";
    EXPECT_THAT(lines.lines(),
                testing::Contains("smtpd: warning: Connection rate limit exceeded: 3 from "
                                  "localhost[127.0.0.1] for service smtp"));
    timers.advance(60s);
    EXPECT_THAT(heard(call()), StartsWith("220 "));
}

TEST_F(SmtpServerTest, CountsNoProgramsOnALocalSocket) {
    limit_connections(1);
    serve();
    for (int i = 0; i < 3; ++i) EXPECT_THAT(heard(call_locally()), StartsWith("220 ")) << i;
    EXPECT_THAT(heard(call()), StartsWith("220 "));
    EXPECT_THAT(heard(call()), StartsWith("421 ")) << "the limit is there";
}

TEST_F(SmtpServerTest, TurnsAwayWhoHasTooManySessionsAtOnce) {
    options.client_session_limit = 1;
    options.is_exempt = [](const std::string&) { return false; };
    serve();
    Stream first = call();
    EXPECT_THAT(heard(first), StartsWith("220 "));

    const Stream second = call();

    EXPECT_EQ(heard(second),
              "421 4.3.2 desk.example Error: too many connections from 127.0.0.1\r\n");
    EXPECT_EQ(heard(second), "");
    EXPECT_EQ(asked(first, "QUIT\r\n"), "221 2.0.0 Bye\r\n");
    EXPECT_EQ(heard(first), "");
    EXPECT_THAT(heard(call()), StartsWith("220 ")) << "its place is free again";
}

TEST_F(SmtpServerTest, TurnsAwayALocalUserWithTooManySessionsAtOnce) {
    options.uid_session_limit = 1;
    serve();
    const Stream first = call_locally();
    EXPECT_THAT(heard(first), StartsWith("220 "));

    const Stream second = call_locally();

    EXPECT_EQ(heard(second), "421 4.3.2 desk.example Error: too many connections from local\r\n");
    EXPECT_EQ(asked(first, "NOOP\r\n"), "250 2.0.0 Ok\r\n");
}

TEST_F(SmtpServerTest, CountsNoSessionsOfWhoIsExempt) {
    options.client_session_limit = 1;
    options.is_exempt = [](const std::string& address) { return address == "127.0.0.1"; };
    serve();
    const Stream first = call();
    EXPECT_THAT(heard(first), StartsWith("220 "));
    EXPECT_THAT(heard(call()), StartsWith("220 "));
}

}  // namespace
}  // namespace postrider::intake
