#include "queue/inbox.h"

#include <random>

#include <sys/socket.h>

#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "queue/codec.h"
#include "queue/frames.h"
#include "queue/inbox_server.h"
#include "queue/local_inbox.h"
#include "queue/queue.h"
#include "queue/remote_inbox.h"
#include "queue/testing/loop.h"
#include "queue/testing/samples.h"

namespace postrider::queue {
namespace {

struct Pair {
    UniqueFd a;
    UniqueFd b;
};

Pair socket_pair() {
    int fds[2];
    EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    return {UniqueFd(fds[0]), UniqueFd(fds[1])};
}

class InboxTest : public ::testing::Test {
protected:
    InboxTest()
        : queue_(std::make_unique<Queue>(Spool::open_in_memory(clock_), loop_.executor(), clock_,
                                         Log(lines_, "qmgr"))),
          inbox_(std::make_unique<RemoteInbox>(loop_.executor(), clock_, RemoteInbox::Options())) {
        start_server();
    }
    ~InboxTest() override {
        inbox_.reset();
        server_.reset();
        loop_.run_while([polls = 0]() mutable { return ++polls < 5; });
        queue_.reset();
    }

    /// For tests that see it give up. The others must not depend on the speed of the machine.
    void be_impatient() {
        RemoteInbox::Options options;
        options.patience = std::chrono::milliseconds{600};
        inbox_ = std::make_unique<RemoteInbox>(loop_.executor(), clock_, options);
    }
    void start_server() {
        server_ = std::make_unique<InboxServer>(*queue_, loop_.executor(), clock_,
                                                Log(lines_, "qmgr"), InboxServer::Options());
        server_->on_begin([this] { ++begun_; });
    }
    void connect() {
        Pair pair = socket_pair();
        server_->attach(std::move(pair.a));
        inbox_->attach(std::move(pair.b));
    }
    /// The other end is ours to say what we like.
    UniqueFd connect_stranger() {
        Pair pair = socket_pair();
        server_->attach(std::move(pair.a));
        return std::move(pair.b);
    }

    net::Awaitable<void> submit(Inbox& inbox, std::size_t pieces, std::string last) {
        const auto ticket = co_await inbox.open();
        if (!ticket) {
            refusals_.push_back(ticket.error());
            co_return;
        }
        const std::string piece(Inbox::kPieceSize, 'x');
        auto message = testing::message(ticket->number, ticket->created, {"b@example.com"}, last);
        message.ticket = *ticket;
        message.content_length += pieces * piece.size();
        for (std::size_t i = 0; i < pieces; ++i) {
            const auto appended = co_await inbox.append(ticket->number, piece);
            if (!appended) {
                refusals_.push_back(appended.error());
                co_return;
            }
        }
        const auto done = co_await inbox.commit(std::move(message), std::move(last));
        if (done) {
            accepted_.push_back(ticket->id);
        } else {
            refusals_.push_back(done.error());
        }
    }
    std::uint64_t stored() { return loop_.run(queue_->counts())->incoming; }
    void turn() {
        const auto end = clock_.monotonic() + std::chrono::milliseconds{50};
        loop_.run_while([&] { return clock_.monotonic() < end; });
    }
    void send(const UniqueFd& fd, std::string_view bytes) {
        (void)!::send(fd.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    }
    bool is_closed(const UniqueFd& fd) {
        char buffer[65536];
        for (;;) {
            const auto count = ::recv(fd.get(), buffer, sizeof buffer, MSG_DONTWAIT);
            if (count == 0 || (count < 0 && errno == ECONNRESET)) return true;
            if (count < 0) return false;
        }
    }
    /// The first number granted to a stranger.
    std::uint64_t granted(const UniqueFd& fd) {
        char buffer[65536];
        ssize_t count = -1;
        loop_.run_while([&] {
            count = ::recv(fd.get(), buffer, sizeof buffer, MSG_DONTWAIT);
            return count < 0 && errno == EAGAIN;
        });
        if (count <= 0) return 0;
        const auto frame = find_frame({buffer, static_cast<std::size_t>(count)});
        return (**frame).number;
    }

    SystemClock clock_;
    CapturedLog lines_;
    testing::Loop loop_;
    std::unique_ptr<Queue> queue_;
    std::unique_ptr<InboxServer> server_;
    std::unique_ptr<RemoteInbox> inbox_;
    std::vector<mail::QueueId> accepted_;
    std::vector<Error> refusals_;
    int begun_ = 0;
};

TEST_F(InboxTest, TakesMessagesInTheSameProcess) {
    LocalInbox inbox(*queue_, clock_, false);
    for (int i = 0; i < 100; ++i) loop_.spawn(submit(inbox, i % 3, "end\r\n"));
    ASSERT_TRUE(loop_.run_all());
    EXPECT_EQ(accepted_.size(), 100U);
    EXPECT_EQ(stored(), 100U);
}

TEST_F(InboxTest, TakesMessagesFromAnotherProcess) {
    connect();
    const MonotonicTime started = clock_.monotonic();
    for (int i = 0; i < 400; ++i) loop_.spawn(submit(*inbox_, 0, "end\r\n"));
    ASSERT_TRUE(loop_.run_all());
    const auto seconds = (clock_.monotonic() - started) / std::chrono::seconds{1};
    ASSERT_EQ(accepted_.size(), 400U);
    EXPECT_EQ(stored(), 400U);
    EXPECT_GE(begun_, 1);
    EXPECT_LE(begun_, 1 + seconds) << "it is told once a second at most";
    const auto found = loop_.run(queue_->find(accepted_[300]));
    ASSERT_TRUE(found->has_value());
    EXPECT_EQ((*found)->id, accepted_[300]);
}

TEST_F(InboxTest, AThousandClientsThatHaveNothingToSayYetGetATicketEach) {
    connect();
    int opened = 0;
    for (int i = 0; i < 1000; ++i) {
        loop_.spawn([](RemoteInbox& inbox, int& count) -> net::Awaitable<void> {
            const auto ticket = co_await inbox.open();
            if (ticket) ++count;
        }(*inbox_, opened));
    }
    ASSERT_TRUE(loop_.run_all());
    EXPECT_EQ(opened, 1000);
    EXPECT_TRUE(refusals_.empty());
}

TEST_F(InboxTest, TakesLargeMessages) {
    connect();
    for (int i = 0; i < 10; ++i) loop_.spawn(submit(*inbox_, 40, "end\r\n"));
    ASSERT_TRUE(loop_.run_all());
    EXPECT_EQ(accepted_.size(), 10U);
    const auto leases = loop_.run(queue_->lease_due(1));
    EXPECT_EQ(loop_.run(queue_->read_piece(leases->front().number, 39))->size(), Inbox::kPieceSize);
    EXPECT_EQ(*loop_.run(queue_->read_piece(leases->front().number, 40)), "end\r\n");
}

TEST_F(InboxTest, SaysWhyAMessageIsRefused) {
    connect();
    const auto ticket = loop_.run(inbox_->open());
    auto message = testing::message(ticket->number, ticket->created, {"b@example.com"}, "text");
    message.ticket = *ticket;
    message.checksum ^= 1;
    const auto done = loop_.run(inbox_->commit(message, "text"));
    ASSERT_FALSE(done);
    EXPECT_EQ(done.error().code, ErrorCode::Invalid);
    EXPECT_THAT(done.error().message, ::testing::HasSubstr("checksum"));
}

TEST_F(InboxTest, ForgetsADiscardedMessage) {
    connect();
    const auto ticket = loop_.run(inbox_->open());
    ASSERT_TRUE(loop_.run(inbox_->append(ticket->number, "half")));
    inbox_->discard(ticket->number);
    turn();
    EXPECT_EQ(stored(), 0U);
    loop_.spawn(submit(*inbox_, 1, "end\r\n"));
    ASSERT_TRUE(loop_.run_all());
    EXPECT_EQ(accepted_.size(), 1U);
}

TEST_F(InboxTest, WaitsForTheQueueButNotForEver) {
    be_impatient();
    const auto ticket = loop_.run(inbox_->open());
    ASSERT_FALSE(ticket);
    EXPECT_EQ(ticket.error().code, ErrorCode::Unavailable);
}

TEST_F(InboxTest, GoesOnWhenTheQueueComesInTime) {
    loop_.spawn(submit(*inbox_, 0, "end\r\n"));
    turn();
    connect();
    ASSERT_TRUE(loop_.run_all());
    EXPECT_EQ(accepted_.size(), 1U);
}

TEST_F(InboxTest, AMessageUnderWayFailsWithItsChannel) {
    connect();
    const auto ticket = loop_.run(inbox_->open());
    ASSERT_TRUE(loop_.run(inbox_->append(ticket->number, "half")));
    server_.reset();
    turn();
    EXPECT_FALSE(inbox_->is_attached());
    start_server();
    connect();

    const auto message =
        testing::message(ticket->number, ticket->created, {"b@example.com"}, "halfend");
    const auto done = loop_.run(inbox_->commit(message, "end"));

    EXPECT_EQ(done.error().code, ErrorCode::Unavailable);
    loop_.spawn(submit(*inbox_, 0, "end\r\n"));
    ASSERT_TRUE(loop_.run_all());
    EXPECT_EQ(accepted_.size(), 1U);
}

TEST_F(InboxTest, NobodyIsToldWhatBecameOfACommitWithoutAnAnswer) {
    Pair pair = socket_pair();
    inbox_->attach(std::move(pair.b));
    std::string grant;
    put_u32(grant, 16);
    grant += '\0';
    std::string frame;
    append_frame(frame, FrameType::Grant, 0x10000, grant);
    send(pair.a, frame);
    loop_.spawn(submit(*inbox_, 0, "end\r\n"));
    turn();
    pair.a.reset();
    ASSERT_TRUE(loop_.run_all());

    ASSERT_EQ(refusals_.size(), 1U);
    EXPECT_EQ(refusals_.front().code, ErrorCode::Connection);
}

TEST_F(InboxTest, DrainsInGoodOrder) {
    be_impatient();
    connect();
    const auto ticket = loop_.run(inbox_->open());
    bool drained = false;
    const auto drain = [](InboxServer& server, MonotonicTime deadline,
                          bool& done) -> net::Awaitable<void> {
        co_await server.drain(deadline);
        done = true;
    };
    loop_.spawn(drain(*server_, clock_.monotonic() + std::chrono::seconds{5}, drained));
    turn();
    EXPECT_FALSE(drained);

    auto message = testing::message(ticket->number, ticket->created, {"b@example.com"}, "x\r\n");
    message.ticket = *ticket;
    EXPECT_TRUE(loop_.run(inbox_->commit(message, "x\r\n")));
    EXPECT_TRUE(drained);
    EXPECT_EQ(loop_.run(inbox_->open()).error().code, ErrorCode::Unavailable);
}

TEST_F(InboxTest, ABreachClosesTheChannelOnly) {
    connect();
    const auto piece = [](std::uint64_t number, std::string_view payload) {
        std::string frame;
        append_frame(frame, FrameType::Piece, number, payload);
        return frame;
    };
    const auto of_type = [](FrameType type, std::uint64_t number, std::string_view payload) {
        std::string frame;
        append_frame(frame, type, number, payload);
        return frame;
    };
    using Attack = std::function<std::string(std::uint64_t)>;
    const std::vector<Attack> attacks = {
        [](auto) { return std::string(100, '\xff'); },
        [&](auto n) { return piece(n + 100000, "x"); },
        [&](auto) { return piece(1, "x"); },
        [&](auto n) { return piece(n, ""); },
        [&](auto n) { return piece(n, std::string(Inbox::kPieceSize + 1, 'x')); },
        [&](auto n) {
            std::string many;
            for (int i = 0; i < 100; ++i) many += piece(n, "x");
            return many;
        },
        [&](auto n) { return of_type(FrameType::Commit, n, "\xff\xff\xff\x7f"); },
        [&](auto n) { return of_type(FrameType::Commit, n, std::string(64, '\0')); },
        [&](auto n) { return of_type(FrameType::Grant, n, "xxxxx"); },
        [&](auto n) { return of_type(FrameType::Committed, n, ""); },
        [&](auto n) { return of_type(FrameType::Return, n, "\xff\xff\xff\xff"); },
        [&](auto n) { return of_type(FrameType::Return, n + 5000, std::string("\1\0\0\0", 4)); },
    };
    for (std::size_t i = 0; i < attacks.size(); ++i) {
        const UniqueFd stranger = connect_stranger();
        const auto number = granted(stranger);
        ASSERT_NE(number, 0U);
        send(stranger, attacks[i](number));
        turn();
        EXPECT_TRUE(is_closed(stranger)) << "attack " << i;
    }
    loop_.spawn(submit(*inbox_, 1, "end\r\n"));
    ASSERT_TRUE(loop_.run_all());
    EXPECT_EQ(accepted_.size(), 1U);
    EXPECT_EQ(stored(), 1U);
}

TEST_F(InboxTest, SurvivesNoise) {
    const unsigned seed = std::random_device{}();
    SCOPED_TRACE("seed " + std::to_string(seed));
    std::mt19937 random(seed);
    for (int round = 0; round < 30; ++round) {
        const UniqueFd stranger = connect_stranger();
        const auto number = granted(stranger);
        std::string noise;
        for (int i = 0; i < 20; ++i) {
            std::string payload(random() % 300, '\0');
            for (char& c : payload) c = static_cast<char>(random());
            append_frame(noise, static_cast<FrameType>(1 + random() % 11), number + random() % 4,
                         payload);
        }
        if (random() % 2 == 0) noise[random() % noise.size()] = static_cast<char>(random());
        send(stranger, noise);
    }
    turn();
    connect();
    loop_.spawn(submit(*inbox_, 0, "end\r\n"));
    ASSERT_TRUE(loop_.run_all());
    EXPECT_EQ(accepted_.size(), 1U);
    EXPECT_EQ(stored(), 1U);
}

}  // namespace
}  // namespace postrider::queue
