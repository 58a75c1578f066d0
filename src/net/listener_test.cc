#include "net/listener.h"

#include <filesystem>
#include <fstream>

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <boost/asio/ip/address.hpp>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "net/connect.h"
#include "net/manual_timers.h"
#include "net/run.h"
#include "net/task_group.h"
#include "net/until.h"

namespace postrider::net {
namespace {

using std::chrono::steady_clock;
using namespace std::chrono_literals;

class ListenerTest : public testing::Test {
protected:
    ListenerTest() {
        std::string pattern = std::filesystem::temp_directory_path() / "listener.XXXXXX";
        folder = ::mkdtemp(pattern.data());
    }
    ~ListenerTest() override { std::filesystem::remove_all(folder); }

    std::unique_ptr<Listener> adopt(Result<UniqueFd> fd) {
        EXPECT_TRUE(fd) << (fd ? "" : fd.error().message);
        auto listener =
            Listener::adopt(loop.get_executor(), std::move(*fd), timers, Log(log, "smtpd"));
        EXPECT_TRUE(listener);
        return std::move(*listener);
    }

    boost::asio::io_context loop;
    ManualTimers timers{loop.get_executor()};
    CapturedLog log;
    std::filesystem::path folder;
};

TEST_F(ListenerTest, AcceptsTcpConnections) {
    auto listener = adopt(listen_tcp(*parse_ip_literal("127.0.0.1"), 0));
    const auto port = listener->local().port;
    HostAddress here;
    here.host = "localhost";
    here.address = *parse_ip_literal("127.0.0.1");

    auto client = run(loop, connect({here}, port, {}, steady_clock::now() + 10s));
    auto served = run(loop, listener->accept());

    ASSERT_TRUE(client && client->stream && served);
    EXPECT_EQ((*served)->local(), (Endpoint{"127.0.0.1", port}));
    EXPECT_EQ((*served)->remote(), client->stream->local());
    EXPECT_FALSE((*served)->peer_credentials());
}

TEST_F(ListenerTest, TakesNoIpv4OnAnIpv6Socket) {
    auto listening = listen_tcp(*parse_ip_literal("::"), 0);
    if (!listening) GTEST_SKIP() << "no IPv6 here";
    auto listener = adopt(std::move(listening));
    const auto port = listener->local().port;

    // The same port of the other family is free, and nobody listens there.
    const std::vector<HostAddress> ipv4 = {{"localhost", *parse_ip_literal("127.0.0.1")}};
    auto refused = run(loop, connect(ipv4, port, {}, kNever));
    ASSERT_TRUE(refused);
    EXPECT_EQ(refused->stream, nullptr);
    EXPECT_TRUE(listen_tcp(*parse_ip_literal("0.0.0.0"), port));
    const std::vector<HostAddress> ipv6 = {{"localhost", *parse_ip_literal("::1")}};
    auto connected = run(loop, connect(ipv6, port, {}, kNever));
    EXPECT_TRUE(connected && connected->stream);
}

TEST_F(ListenerTest, SaysWhichAddressIsTaken) {
    auto listener = adopt(listen_tcp(*parse_ip_literal("127.0.0.1"), 0));
    const auto port = listener->local().port;

    auto second = listen_tcp(*parse_ip_literal("127.0.0.1"), port);

    ASSERT_FALSE(second);
    EXPECT_EQ(second.error().message,
              "listen on 127.0.0.1:" + std::to_string(port) + ": Address already in use");
}

TEST_F(ListenerTest, GivesAUnixSocketItsMode) {
    const auto path = folder / "intake";
    auto listener = adopt(listen_unix(path, 0666));

    struct stat status;
    ASSERT_EQ(::stat(path.c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 07777, 0666u);
    auto client = run(loop, connect_unix(path, kNever));
    auto served = run(loop, listener->accept());
    ASSERT_TRUE(client && served);
    EXPECT_EQ((*served)->peer_credentials()->uid, ::getuid());
}

TEST_F(ListenerTest, ReplacesAnAbandonedSocketButNothingElse) {
    const auto path = folder / "socket";
    { auto abandoned = adopt(listen_unix(path, 0600)); }
    auto listener = adopt(listen_unix(path, 0600));

    EXPECT_FALSE(listen_unix(path, 0600)) << "somebody answers there";
    std::ofstream(folder / "file") << "precious";
    EXPECT_FALSE(listen_unix(folder / "file", 0600));
    EXPECT_TRUE(std::filesystem::is_regular_file(folder / "file"));
    EXPECT_FALSE(listen_unix(folder / std::string(200, 'x'), 0600));
}

TEST_F(ListenerTest, RefusesASocketThatDoesNotListen) {
    UniqueFd fd(::socket(AF_INET, SOCK_STREAM, 0));

    EXPECT_FALSE(Listener::adopt(loop.get_executor(), std::move(fd), timers, Log(log, "smtpd")));
}

// Uses up all descriptors but `left`.
class Shortage {
public:
    explicit Shortage(int left) {
        ::getrlimit(RLIMIT_NOFILE, &before_);
        rlimit few = before_;
        few.rlim_cur = 256;
        ::setrlimit(RLIMIT_NOFILE, &few);
        for (int fd; (fd = ::open("/dev/null", O_RDONLY | O_CLOEXEC)) >= 0;)
            taken_.emplace_back(fd);
        for (; left > 0; --left) taken_.pop_back();
    }
    ~Shortage() { ::setrlimit(RLIMIT_NOFILE, &before_); }

private:
    rlimit before_;
    std::vector<UniqueFd> taken_;
};

Awaitable<void> accept_one(Listener& listener, std::unique_ptr<SocketStream>& into) {
    auto accepted = co_await listener.accept();
    if (accepted) into = std::move(*accepted);
}

TEST_F(ListenerTest, OutlivesALackOfDescriptors) {
#if defined(__SANITIZE_ADDRESS__)
    GTEST_SKIP() << "the undefined-behaviour sanitizer needs descriptors to look at objects";
#endif
    const auto path = folder / "intake";
    auto listener = adopt(listen_unix(path, 0600));
    TaskGroup tasks(loop.get_executor(), Log(log, "test"));
    std::unique_ptr<SocketStream> accepted;
    {
        const Shortage shortage(2);
        auto unlucky = run(loop, connect_unix(path, kNever));
        auto lucky = run(loop, connect_unix(path, kNever));
        ASSERT_TRUE(unlucky && lucky);
        tasks.spawn(accept_one(*listener, accepted), "accept");
        loop.restart();
        loop.poll();
        EXPECT_EQ(timers.sleepers(), 1u) << "it pauses instead of spinning";

        timers.advance(1s);
        loop.restart();
        loop.poll();
        std::array<char, 1> byte;
        auto turned_away = run(loop, (*unlucky)->read_some(byte, kNever));
        EXPECT_TRUE(turned_away && *turned_away == 0);
        EXPECT_EQ(accepted, nullptr);
    }
    timers.advance(1s);
    loop.restart();
    loop.poll();

    EXPECT_NE(accepted, nullptr);
    EXPECT_THAT(log.lines(),
                testing::ElementsAre("smtpd: warning: accept connection: Too many open files"));
}

TEST_F(ListenerTest, EndsWaitingWhenClosed) {
    auto listener = adopt(listen_unix(folder / "intake", 0600));
    boost::asio::post(loop, [&] { boost::asio::post(loop, [&] { listener->close(); }); });

    EXPECT_EQ(run(loop, listener->accept()).error().code, ErrorCode::Cancelled);
    EXPECT_EQ(run(loop, listener->accept()).error().code, ErrorCode::Cancelled);
}

}  // namespace
}  // namespace postrider::net
