#include "net/socket_stream.h"

#include <array>

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
