#include "tls/connection.h"

#include <sys/socket.h>

#include <boost/asio/io_context.hpp>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "net/run.h"
#include "net/socket_stream.h"
#include "net/task_group.h"
#include "net/until.h"
#include "tls/policy.h"
#include "tls/test_world.h"

namespace postrider::tls {
namespace {

using test::Issued;
using test::Wanted;

// Two ends over a pair of sockets that hold little, so that every write has to wait.
class ConnectionTest : public testing::Test {
protected:
    ConnectionTest() {
        const Issued identity = Issued::make(Wanted());
        std::string problem;
        set_protocols(near_context.get(), Protocols().allowed);
        set_protocols(far_context.get(), Protocols().allowed);
        EXPECT_TRUE(set_identity(far_context.get(), identity.certificate_pem(), identity.key_pem(),
                                 problem));
        int ends[2];
        EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends), 0);
        near = over(ends[0], near_context.get(), SSL_set_connect_state);
        far = over(ends[1], far_context.get(), SSL_set_accept_state);
        tasks.spawn(handshake(*near), "near");
        tasks.spawn(handshake(*far), "far");
        join();
    }

    std::unique_ptr<Connection> over(int fd, SSL_CTX* context, void (*role)(SSL*)) {
        const int small = 4096;
        ::setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &small, sizeof small);
        auto stream = net::SocketStream::adopt(loop.get_executor(), UniqueFd(fd));
        return std::make_unique<Connection>(Ssl(SSL_new(context)), std::move(*stream), role);
    }

    static net::Awaitable<void> handshake(Connection& end) {
        EXPECT_TRUE(co_await end.handshake(net::kNever));
    }

    void join() { ASSERT_TRUE(net::run(loop, tasks.join(net::kNever))); }

    boost::asio::io_context loop;
    CapturedLog log;
    SslContext near_context{SSL_CTX_new(TLS_client_method())};
    SslContext far_context{SSL_CTX_new(TLS_server_method())};
    std::unique_ptr<Connection> near;
    std::unique_ptr<Connection> far;
    net::TaskGroup tasks{loop.get_executor(), Log(log, "test")};
};

net::Awaitable<Result<void>> send(Connection& end, std::string_view text) {
    const boost::asio::const_buffer buffer(text.data(), text.size());
    co_return co_await end.write({&buffer, 1}, net::kNever);
}

net::Awaitable<void> send_with_new_keys(Connection& end, const std::string& text) {
    constexpr std::size_t kPiece = 40'000;
    for (std::size_t at = 0; at < text.size(); at += kPiece) {
        // The other side has to answer with a new key of its own.
        EXPECT_EQ(SSL_key_update(end.ssl(), SSL_KEY_UPDATE_REQUESTED), 1);
        auto sent = co_await send(end, std::string_view(text).substr(at, kPiece));
        EXPECT_TRUE(sent) << (sent ? "" : sent.error().message);
        if (!sent) co_return;
    }
    EXPECT_TRUE(co_await end.finish(net::kNever));
}

net::Awaitable<void> receive_all(Connection& end, std::string& into) {
    std::vector<char> buffer(5000);
    for (;;) {
        auto count = co_await end.read_some(buffer, net::kNever);
        EXPECT_TRUE(count) << (count ? "" : count.error().message);
        if (!count || *count == 0) co_return;
        into.append(buffer.data(), *count);
    }
}

TEST_F(ConnectionTest, ChangesKeysInTheMiddleOfATransfer) {
    std::string text(2'000'000, '\0');
    for (std::size_t i = 0; i < text.size(); ++i) text[i] = static_cast<char>(i * 7 / 11);
    std::string there;
    std::string back;

    tasks.spawn(send_with_new_keys(*near, text), "near sends");
    tasks.spawn(send_with_new_keys(*far, text), "far sends");
    tasks.spawn(receive_all(*near, back), "near receives");
    tasks.spawn(receive_all(*far, there), "far receives");
    join();

    EXPECT_TRUE(there == text);
    EXPECT_TRUE(back == text);
}

TEST_F(ConnectionTest, HearsNothingAfterTheFarewell) {
    std::array<char, 100> buffer;
    ASSERT_TRUE(net::run(loop, send(*far, "last words")));
    ASSERT_TRUE(net::run(loop, far->finish(net::kNever)));
    // What comes after close_notify is nobody's, whoever put it there.
    EXPECT_FALSE(net::run(loop, send(*far, "more")));
    const std::string record("\x17\x03\x03\0\x05xxxxx", 10);
    ASSERT_TRUE(net::run(loop, net::write(far->inner(), record, net::kNever)));

    auto words = net::run(loop, near->read_some(buffer, net::kNever));
    ASSERT_TRUE(words);
    EXPECT_EQ(std::string_view(buffer.data(), *words), "last words");
    for (int i = 0; i < 2; ++i) {
        auto end = net::run(loop, near->read_some(buffer, net::kNever));
        EXPECT_TRUE(end && *end == 0);
    }
    // The other direction is still open.
    EXPECT_TRUE(net::run(loop, send(*near, "goodbye")));
}

TEST_F(ConnectionTest, StopsAtBytesThatNobodyEncrypted) {
    const std::string record(
        "\x17\x03\x03\0\x20"
        "01234567890123456789012345678901",
        37);
    ASSERT_TRUE(net::run(loop, net::write(far->inner(), record, net::kNever)));

    std::array<char, 100> buffer;
    auto read = net::run(loop, near->read_some(buffer, net::kNever));

    ASSERT_FALSE(read);
    EXPECT_EQ(read.error().code, ErrorCode::Protocol);
}

net::Awaitable<void> write_until_stopped(Connection& end, const std::string& text,
                                         std::optional<Error>& into) {
    auto sent = co_await send(end, text);
    if (!sent) into = sent.error();
}

TEST_F(ConnectionTest, StopsInTheMiddleOfAWrite) {
    const std::string text(1'000'000, 'x');
    for (const bool by_task : {true, false}) {
        std::optional<Error> error;
        tasks.spawn(write_until_stopped(*near, text, error), "write");
        loop.restart();
        loop.poll();
        ASSERT_FALSE(error);
        by_task ? tasks.cancel() : near->cancel();
        join();
        ASSERT_TRUE(error);
        EXPECT_EQ(error->code, ErrorCode::Cancelled);
    }
}

}  // namespace
}  // namespace postrider::tls
