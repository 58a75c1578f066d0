#include "net/socket_stream.h"

#include <array>

#include <netinet/in.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/time.h>

#include <gtest/gtest.h>

#include "net/run.h"
#include "net/task_group.h"
#include "net/until.h"

namespace postrider::net {
namespace {

using std::chrono::steady_clock;
using namespace std::chrono_literals;

class SocketStreamTest : public testing::Test {
protected:
    SocketStreamTest() {
        std::array<int, 2> ends;
        EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()), 0);
        near = std::move(*SocketStream::adopt(loop.get_executor(), UniqueFd(ends[0])));
        far = std::move(*SocketStream::adopt(loop.get_executor(), UniqueFd(ends[1])));
    }

    Result<std::string> read(SocketStream& stream, MonotonicTime deadline) {
        std::array<char, 4096> buffer;
        auto count = run(loop, stream.read_some(buffer, deadline));
        if (!count) return Unexpected(std::move(count).error());
        return std::string(buffer.data(), *count);
    }

    boost::asio::io_context loop;
    CapturedLog log;
    std::unique_ptr<SocketStream> near;
    std::unique_ptr<SocketStream> far;
};

TEST_F(SocketStreamTest, CarriesBytesInOrder) {
    ASSERT_TRUE(run(loop, write(*near, "EHLO there\r\n", kNever)));

    EXPECT_EQ(*read(*far, kNever), "EHLO there\r\n");
}

TEST_F(SocketStreamTest, GathersManyBuffersEmptyOnesIncluded) {
    std::vector<std::string> texts(200);
    std::vector<boost::asio::const_buffer> buffers;
    std::string expected;
    for (std::size_t i = 0; i < texts.size(); ++i) {
        texts[i] = i % 3 == 0 ? "" : std::to_string(i);
        expected += texts[i];
        buffers.emplace_back(texts[i].data(), texts[i].size());
    }

    ASSERT_TRUE(run(loop, near->write(buffers, kNever)));
    ASSERT_TRUE(run(loop, near->write({}, kNever)));

    EXPECT_EQ(*read(*far, kNever), expected);
}

Awaitable<void> send(SocketStream& stream, std::string text) {
    auto sent = co_await write(stream, text, kNever);
    EXPECT_TRUE(sent);
    stream.finish_writing();
}

TEST_F(SocketStreamTest, WritesMoreThanTheKernelBuffers) {
    std::string text(3'000'000, 'x');
    for (std::size_t i = 0; i < text.size(); ++i) text[i] = static_cast<char>('a' + i % 23);
    TaskGroup tasks(loop.get_executor(), Log(log, "test"));
    tasks.spawn(send(*near, text), "sender");

    std::string received;
    for (auto more = read(*far, kNever); more && !more->empty(); more = read(*far, kNever)) {
        received += *more;
    }

    EXPECT_TRUE(received == text);
}

/// A TCP connection with the smallest buffers that the kernel gives.
std::array<UniqueFd, 2> narrow_connection() {
    const int least = 1;
    UniqueFd listener(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    auto* const name = reinterpret_cast<sockaddr*>(&address);
    socklen_t size = sizeof address;
    // Inherited by the accepted end, and in time for the handshake to announce the window.
    ::setsockopt(listener.get(), SOL_SOCKET, SO_RCVBUF, &least, sizeof least);
    EXPECT_EQ(::bind(listener.get(), name, size), 0);
    EXPECT_EQ(::listen(listener.get(), 1), 0);
    EXPECT_EQ(::getsockname(listener.get(), name, &size), 0);
    UniqueFd near(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    ::setsockopt(near.get(), SOL_SOCKET, SO_SNDBUF, &least, sizeof least);
    EXPECT_EQ(::connect(near.get(), name, size), 0);
    UniqueFd far(::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
    return {std::move(near), std::move(far)};
}

int signals_seen = 0;

/// SIGALRM five times in each millisecond, interrupting system calls.
class StormOfSignals {
public:
    StormOfSignals() {
        struct sigaction action {};
        action.sa_handler = [](int) { ++signals_seen; };
        ::sigaction(SIGALRM, &action, &before_);
        const itimerval often{{0, 200}, {0, 200}};
        ::setitimer(ITIMER_REAL, &often, nullptr);
    }
    ~StormOfSignals() {
        const itimerval never{};
        ::setitimer(ITIMER_REAL, &never, nullptr);
        ::sigaction(SIGALRM, &before_, nullptr);
    }

private:
    struct sigaction before_ {};
};

// U13.
TEST_F(SocketStreamTest, LosesNothingInANarrowWindowAndAStormOfSignals) {
    auto [near_end, far_end] = narrow_connection();
    const auto writer = std::move(*SocketStream::adopt(loop.get_executor(), std::move(near_end)));
    const auto reader = std::move(*SocketStream::adopt(loop.get_executor(), std::move(far_end)));
    std::string text(20'000, 'x');
    for (std::size_t i = 0; i < text.size(); ++i) text[i] = static_cast<char>('a' + i % 23);
    const StormOfSignals storm;
    TaskGroup tasks(loop.get_executor(), Log(log, "test"));
    tasks.spawn(send(*writer, text), "sender");

    std::string received;
    char byte = 0;
    for (bool more = true; more;) {
        const auto count =
            run(loop, reader->read_some(std::span(&byte, 1), steady_clock::now() + 60s));
        more = count && *count == 1;
        if (more) received += byte;
    }

    EXPECT_TRUE(received == text) << received.size();
    EXPECT_GT(signals_seen, 50) << "no storm";
}

TEST_F(SocketStreamTest, ReportsTheEndAndTheLossOfThePeer) {
    near->finish_writing();
    EXPECT_EQ(*read(*far, kNever), "");

    near->close();
    run(loop, write(*far, "first", kNever)).has_value();
    auto written = run(loop, write(*far, "second", kNever));
    ASSERT_FALSE(written);
    EXPECT_EQ(written.error().code, ErrorCode::Connection);
}

TEST_F(SocketStreamTest, SaysTimeoutWhenNothingComes) {
    auto received = read(*far, steady_clock::now() + 5ms);

    ASSERT_FALSE(received);
    EXPECT_EQ(received.error().code, ErrorCode::Timeout);
    // The stream is still good for another try.
    ASSERT_TRUE(run(loop, write(*near, "late", kNever)));
    EXPECT_EQ(*read(*far, steady_clock::now() + 1h), "late");
}

TEST_F(SocketStreamTest, SaysCancelledWhenWeStopIt) {
    boost::asio::post(loop, [&] { boost::asio::post(loop, [&] { far->cancel(); }); });
    auto received = read(*far, steady_clock::now() + 1h);
    ASSERT_FALSE(received);
    EXPECT_EQ(received.error().code, ErrorCode::Cancelled);

    boost::asio::post(loop, [&] { boost::asio::post(loop, [&] { far->close(); }); });
    received = read(*far, kNever);
    ASSERT_FALSE(received);
    EXPECT_EQ(received.error().code, ErrorCode::Cancelled);
    EXPECT_EQ(read(*far, kNever).error().code, ErrorCode::Cancelled);
}

TEST_F(SocketStreamTest, KnowsWhoIsAtTheOtherEndOfAUnixSocket) {
    const auto peer = near->peer_credentials();

    ASSERT_TRUE(peer);
    EXPECT_EQ(peer->uid, ::getuid());
    EXPECT_EQ(peer->pid, ::getpid());
    EXPECT_EQ(near->remote(), Endpoint());
}

TEST_F(SocketStreamTest, RefusesWhatIsNoStreamSocket) {
    std::array<int, 2> ends;
    ASSERT_EQ(::socketpair(AF_UNIX, SOCK_DGRAM, 0, ends.data()), 0);
    const UniqueFd other(ends[1]);

    EXPECT_FALSE(SocketStream::adopt(loop.get_executor(), UniqueFd(ends[0])));
    EXPECT_FALSE(SocketStream::adopt(loop.get_executor(), UniqueFd()));
}

}  // namespace
}  // namespace postrider::net
