#include "net/connect.h"

#include <sys/socket.h>

#include <boost/asio/ip/tcp.hpp>
#include <gtest/gtest.h>

#include "net/listener.h"
#include "net/run.h"
#include "net/task_group.h"
#include "net/until.h"

namespace postrider::net {
namespace {

using std::chrono::steady_clock;
using namespace std::chrono_literals;

HostAddress at(const std::string& address, int preference = 0) {
    return {"mx.example.org", boost::asio::ip::make_address(address), preference};
}

std::string addresses(const std::vector<HostAddress>& list) {
    std::string text;
    for (const auto& entry : list) text += entry.address.to_string() + ' ';
    return text;
}

std::uint16_t port_of(int fd) {
    boost::asio::ip::tcp::endpoint endpoint;
    auto size = static_cast<socklen_t>(endpoint.capacity());
    ::getsockname(fd, endpoint.data(), &size);
    return endpoint.port();
}

TEST(Interleaved, AlternatesFamiliesWithinAPreference) {
    EXPECT_EQ(
        addresses(interleaved({at("::1"), at("::2"), at("::3"), at("1.0.0.1"), at("1.0.0.2")})),
        "::1 1.0.0.1 ::2 1.0.0.2 ::3 ");
    EXPECT_EQ(addresses(interleaved({at("1.0.0.1", 10), at("1.0.0.2", 10), at("::1", 20),
                                     at("::2", 20), at("1.0.0.3", 20)})),
              "1.0.0.1 1.0.0.2 ::1 1.0.0.3 ::2 ");
    EXPECT_EQ(addresses(interleaved({})), "");
}

TEST(Connect, GoesOnToTheNextAddressAndReportsTheFailure) {
    boost::asio::io_context loop;
    auto listening = listen_tcp(*parse_ip_literal("127.0.0.2"), 0);
    ASSERT_TRUE(listening);
    const auto port = port_of(listening->get());

    std::vector<HostAddress> list = {at("127.0.0.1"), at("127.0.0.2")};
    auto connected = run(loop, connect(list, port, {}, steady_clock::now() + 10s));

    ASSERT_TRUE(connected && connected->stream);
    EXPECT_EQ(connected->to, at("127.0.0.2"));
    EXPECT_EQ(connected->stream->remote(), (Endpoint{"127.0.0.2", port}));
    ASSERT_EQ(connected->failures.size(), 1u);
    EXPECT_EQ(
        connected->failures[0].error.message,
        "connect to mx.example.org[127.0.0.1]:" + std::to_string(port) + ": Connection refused");
}

// A listening socket whose backlog is full: the next connection gets no answer.
class Silence {
public:
    explicit Silence(const std::string& address)
        : listening_(std::move(*listen_tcp(*parse_ip_literal(address), 0))) {
        ::listen(listening_.get(), 0);
        const boost::asio::ip::tcp::endpoint to(*parse_ip_literal(address), port());
        for (int i = 0; i < 3; ++i) {
            waiting_.emplace_back(::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0));
            ::connect(waiting_.back().get(), to.data(), static_cast<socklen_t>(to.size()));
        }
    }
    std::uint16_t port() const { return port_of(listening_.get()); }

private:
    UniqueFd listening_;
    std::vector<UniqueFd> waiting_;
};

TEST(Connect, GivesASilentAddressOnlyItsHeadStart) {
    boost::asio::io_context loop;
    const Silence silence("127.0.0.1");
    auto listening = listen_tcp(*parse_ip_literal("127.0.0.2"), silence.port());
    ASSERT_TRUE(listening);
    ConnectOptions options;
    options.stagger = 30ms;
    const auto begin = steady_clock::now();

    std::vector<HostAddress> list = {at("127.0.0.1"), at("127.0.0.2")};
    auto connected = run(loop, connect(list, silence.port(), options, begin + 20s));

    ASSERT_TRUE(connected && connected->stream);
    EXPECT_EQ(connected->to, at("127.0.0.2"));
    EXPECT_TRUE(connected->failures.empty());
    EXPECT_GE(steady_clock::now() - begin, 30ms);
    EXPECT_LT(steady_clock::now() - begin, 5s);
}

TEST(Connect, LeavesAWorseExchangerAloneWhileABetterOneMayAnswer) {
    boost::asio::io_context loop;
    const Silence silence("127.0.0.1");
    auto listening = listen_tcp(*parse_ip_literal("127.0.0.2"), silence.port());
    ASSERT_TRUE(listening);
    ConnectOptions options;
    options.stagger = 1ms;
    options.attempt_timeout = 60ms;

    std::vector<HostAddress> list = {at("127.0.0.1", 10), at("127.0.0.2", 20)};
    auto connected = run(loop, connect(list, silence.port(), options, kNever));

    ASSERT_TRUE(connected && connected->stream);
    ASSERT_EQ(connected->failures.size(), 1u);
    EXPECT_EQ(connected->failures[0].error.code, ErrorCode::Timeout);
    EXPECT_EQ(connected->failures[0].error.message,
              "connect to mx.example.org[127.0.0.1]:" + std::to_string(silence.port()) +
                  ": Connection timed out");
}

TEST(Connect, ReturnsAllFailuresWhenNobodyAnswers) {
    boost::asio::io_context loop;

    auto nowhere = run(loop, connect({}, 25, {}, kNever));
    ASSERT_TRUE(nowhere);
    EXPECT_EQ(nowhere->stream, nullptr);

    std::vector<HostAddress> list = {at("127.0.0.1"), at("127.0.0.1"), at("127.0.0.1", 5)};
    auto refused = run(loop, connect(list, 1, {}, kNever));
    ASSERT_TRUE(refused);
    EXPECT_EQ(refused->stream, nullptr);
    EXPECT_EQ(refused->failures.size(), 3u);
}

TEST(Connect, BindsToTheSourceAddress) {
    boost::asio::io_context loop;
    auto listening = listen_tcp(*parse_ip_literal("127.0.0.1"), 0);
    const auto port = port_of(listening->get());
    ConnectOptions options;
    options.bind_ipv4 = parse_ip_literal("127.0.0.9");

    auto connected = run(loop, connect({at("127.0.0.1")}, port, options, kNever));
    ASSERT_TRUE(connected && connected->stream);
    EXPECT_EQ(connected->stream->local().address, "127.0.0.9");

    options.bind_ipv4 = parse_ip_literal("192.0.2.1");
    connected = run(loop, connect({at("127.0.0.1")}, port, options, kNever));
    ASSERT_EQ(connected->failures.size(), 1u);
    EXPECT_EQ(connected->failures[0].error.message,
              "connect to mx.example.org[127.0.0.1]:" + std::to_string(port) +
                  ": bind 192.0.2.1: Cannot assign requested address");
}

Awaitable<void> connect_until_stopped(std::vector<HostAddress> list, std::uint16_t port,
                                      std::optional<Error>& into) {
    ConnectOptions options;
    options.stagger = 1ms;
    auto connected = co_await connect(list, port, options, kNever);
    if (!connected) into = connected.error();
}

TEST(Connect, EndsWhenItsTaskIsCancelled) {
    boost::asio::io_context loop;
    const Silence silence("127.0.0.1");
    CapturedLog log;
    TaskGroup tasks(loop.get_executor(), Log(log, "test"));
    std::optional<Error> error;
    const std::vector<HostAddress> list(5, at("127.0.0.1"));
    for (const auto patience : {0ms, 20ms}) {
        tasks.spawn(connect_until_stopped(list, silence.port(), error), "connect");
        loop.restart();
        loop.run_for(patience);
        ASSERT_EQ(tasks.size(), 1u);

        tasks.cancel();

        // Nothing is left behind: the loop runs out of work.
        loop.restart();
        loop.run_for(10s);
        EXPECT_TRUE(tasks.empty());
        ASSERT_TRUE(error);
        EXPECT_EQ(error->code, ErrorCode::Cancelled);
        EXPECT_TRUE(loop.stopped());
    }
}

TEST(Connect, MayBeAbandonedWithItsLoop) {
    const Silence silence("127.0.0.1");
    CapturedLog log;
    std::optional<Error> error;
    {
        boost::asio::io_context loop;
        TaskGroup tasks(loop.get_executor(), Log(log, "test"));
        const std::vector<HostAddress> list(3, at("127.0.0.1"));
        tasks.spawn(connect_until_stopped(list, silence.port(), error), "connect");
        loop.run_for(20ms);
        EXPECT_EQ(tasks.size(), 1u);
    }
    EXPECT_FALSE(error);
    EXPECT_TRUE(log.lines().empty());
}

}  // namespace
}  // namespace postrider::net
