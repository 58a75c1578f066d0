#include "queue/inbox_server.h"

#include <algorithm>
#include <list>
#include <map>
#include <optional>
#include <unordered_map>
#include <utility>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "queue/channel.h"
#include "queue/codec.h"
#include "queue/inbox.h"
#include "queue/queue.h"

namespace postrider::queue {
namespace {

namespace asio = boost::asio;

constexpr std::uint32_t kGrant = 256;
/// Numbers a peer may have at once, with or without content yet. With kPiecesUnderWay pieces each
/// this would be 1 GB; kUnderWayMax keeps it far below.
constexpr std::size_t kTicketsMax = 4096;
/// Between two tries to reserve numbers in a store that is in trouble.
constexpr Duration kGrantAgain = std::chrono::seconds{1};
/// Bytes handed to the queue and not yet taken by it; above, we stop listening.
constexpr std::size_t kUnderWayMax = 16UL * 1024 * 1024;
/// Answers a peer may leave unread.
constexpr std::size_t kUnsentMax = 1024UL * 1024;

/// A message of which content has come.
struct Incoming {
    std::uint32_t pieces = 0;
    std::uint32_t under_way = 0;
    bool committing = false;
    std::optional<Error> failed;
};

}  // namespace

/// One peer. Numbers go from `tickets` to `messages` with their first frame, and leave when they
/// are answered or discarded: any other number is a breach.
struct Connection : std::enable_shared_from_this<Connection> {
    Connection(Queue& the_queue, asio::any_io_executor executor,
               const InboxServer::Options& the_options, UniqueFd fd)
        : queue(the_queue),
          network(executor),
          options(the_options),
          channel(std::make_shared<Channel>(executor, std::move(fd))),
          grant_again(std::move(executor)) {}

    void start(std::function<void()> on_begin, std::function<void(const Error&)> on_end,
               std::function<void()> on_idle);
    void stop();
    void drain();
    bool is_idle() const { return tickets.empty() && messages.empty(); }

    bool take(const Frame&);
    bool take_piece(const Frame&);
    bool take_commit(const Frame&);
    bool take_discard(std::uint64_t number);
    bool take_return(const Frame&);
    Incoming* incoming(std::uint64_t number);
    void grant();
    void granted(const Result<std::uint64_t>& first);
    void say(FrameType, std::uint64_t number, std::string_view payload = {});
    void refuse(std::uint64_t number, const Error&);
    void began(std::size_t bytes);
    void ended(std::size_t bytes);
    void piece_stored(std::uint64_t number, std::size_t bytes, const Result<void>&);
    void committed(std::uint64_t number, std::size_t bytes, const Result<void>&);

    template <typename T, typename Then>
    void run(net::Awaitable<Result<T>> call, Then then);

    Queue& queue;
    const asio::any_io_executor network;
    const InboxServer::Options options;
    const std::shared_ptr<Channel> channel;
    std::function<void()> tell_begin;
    std::function<void(const Error&)> tell_end;
    std::function<void()> tell_idle;
    std::map<std::uint64_t, std::uint64_t> tickets;  ///< First number to the one after the last.
    std::size_t ticket_count = 0;
    std::unordered_map<std::uint64_t, Incoming> messages;
    std::size_t bytes_under_way = 0;
    bool wanted = true;  ///< The peer is to get a block of numbers.
    bool granting = false;
    asio::steady_timer grant_again;
    bool draining = false;
    bool stopped = false;

    bool use_ticket(std::uint64_t number);
};

template <typename T, typename Then>
net::Awaitable<void> finish(std::shared_ptr<Connection> self, net::Awaitable<Result<T>> call,
                            Then then) {
    const Result<T> result = co_await std::move(call);
    then(*self, result);
}

template <typename T, typename Then>
void Connection::run(net::Awaitable<Result<T>> call, Then then) {
    // Whatever throws here is out of memory: the connection's end is the answer.
    auto ended_by = [self = shared_from_this()](const std::exception_ptr& thrown) {
        if (!thrown) return;
        self->stop();
        self->tell_end({ErrorCode::Limit, "inbox channel: out of memory"});
    };
    asio::co_spawn(network, finish(shared_from_this(), std::move(call), std::move(then)),
                   std::move(ended_by));
}

void Connection::start(std::function<void()> on_begin, std::function<void(const Error&)> on_end,
                       std::function<void()> on_idle) {
    tell_begin = std::move(on_begin);
    tell_end = std::move(on_end);
    tell_idle = std::move(on_idle);
    channel->start(
        [weak = weak_from_this()](const Frame& frame) {
            const auto self = weak.lock();
            return self && self->take(frame);
        },
        [weak = weak_from_this()](const Error& reason) {
            const auto self = weak.lock();
            if (!self) return;
            self->stop();
            self->tell_end(reason);
        });
    grant();
}

/// Commits under way go on: their messages are complete, and a commit cannot be called back.
void Connection::stop() {
    if (std::exchange(stopped, true)) return;
    channel->close();
    grant_again.cancel();
    tickets.clear();
    for (const auto& [number, message] : messages) {
        if (message.pieces > 0 && !message.committing) queue.forget(number);
    }
    messages.clear();
}

void Connection::drain() {
    draining = true;
    say(FrameType::Drain, 0);
}

void Connection::grant() {
    if (granting || draining || stopped) return;
    if (!wanted || ticket_count + messages.size() + kGrant > kTicketsMax) return;
    granting = true;
    run(queue.reserve(kGrant), [](Connection& self, const Result<std::uint64_t>& first) {
        self.granting = false;
        self.granted(first);
    });
}

void Connection::granted(const Result<std::uint64_t>& first) {
    if (draining || stopped) return;
    if (!first) {
        // A peer without numbers has nothing to say that would remind us.
        grant_again.expires_after(kGrantAgain);
        grant_again.async_wait([weak = weak_from_this()](const boost::system::error_code& failed) {
            const auto self = weak.lock();
            if (self && !failed) self->grant();
        });
        return;
    }
    wanted = false;
    tickets.emplace(*first, *first + kGrant);
    ticket_count += kGrant;
    std::string payload;
    put_u32(payload, kGrant);
    payload += static_cast<char>(options.long_queue_ids);
    say(FrameType::Grant, *first, payload);
}

bool Connection::use_ticket(std::uint64_t number) {
    auto block = tickets.upper_bound(number);
    if (block == tickets.begin()) return false;
    --block;
    const auto [first, end] = *block;
    if (number >= end) return false;
    tickets.erase(block);
    if (first < number) tickets.emplace(first, number);
    if (number + 1 < end) tickets.emplace(number + 1, end);
    --ticket_count;
    return true;
}

Incoming* Connection::incoming(std::uint64_t number) {
    const auto found = messages.find(number);
    if (found != messages.end()) return &found->second;
    if (!use_ticket(number)) return nullptr;
    return &messages[number];
}

bool Connection::take(const Frame& frame) {
    if (channel->unsent() > kUnsentMax) return false;
    bool good = false;
    switch (frame.type) {
        case FrameType::Begin:
            if (tell_begin) tell_begin();
            good = true;
            break;
        case FrameType::Piece:
            good = take_piece(frame);
            break;
        case FrameType::Commit:
            good = take_commit(frame);
            break;
        case FrameType::Discard:
            good = take_discard(frame.number);
            break;
        case FrameType::Return:
            good = take_return(frame);
            break;
        case FrameType::Want:
            wanted = true;
            good = true;
            break;
        case FrameType::Grant:
        case FrameType::Credit:
        case FrameType::Committed:
        case FrameType::Refused:
        case FrameType::Drain:
            break;
    }
    if (good) {
        grant();
        if (is_idle()) tell_idle();
    }
    return good;
}

bool Connection::take_piece(const Frame& frame) {
    if (frame.payload.empty() || frame.payload.size() > Inbox::kPieceSize) return false;
    Incoming* message = incoming(frame.number);
    if (message == nullptr || message->committing) return false;
    if (message->under_way >= kPiecesUnderWay) return false;
    if (message->failed) {
        say(FrameType::Credit, frame.number);
        return true;
    }
    ++message->under_way;
    const std::uint64_t number = frame.number;
    const std::size_t bytes = frame.payload.size();
    began(bytes);
    run(queue.append(number, message->pieces++, std::string(frame.payload)),
        [number, bytes](Connection& self, const Result<void>& done) {
            self.piece_stored(number, bytes, done);
        });
    return true;
}

void Connection::piece_stored(std::uint64_t number, std::size_t bytes, const Result<void>& done) {
    ended(bytes);
    const auto found = messages.find(number);
    if (found == messages.end()) return;
    --found->second.under_way;
    if (!done && !found->second.failed) found->second.failed = done.error();
    if (!done && !found->second.committing) {
        refuse(number, done.error());
    }
    say(FrameType::Credit, number);
}

bool Connection::take_commit(const Frame& frame) {
    std::string_view payload = frame.payload;
    const auto length = take_u32(payload);
    if (!length || *length > payload.size()) return false;
    const std::string_view last_piece = payload.substr(*length);
    if (last_piece.size() > Inbox::kPieceSize) return false;
    DecodeLimits limits;
    limits.recipients_max = options.recipients_max;
    limits.long_queue_ids = options.long_queue_ids;
    auto decoded = decode(payload.substr(0, *length), limits);
    if (!decoded || decoded->ticket.number != frame.number) return false;
    Incoming* message = incoming(frame.number);
    if (message == nullptr || message->committing) return false;
    message->committing = true;
    const std::uint64_t number = frame.number;
    const std::size_t bytes = frame.payload.size();
    began(bytes);
    if (message->failed) {
        committed(number, bytes, Unexpected(*message->failed));
        return true;
    }
    run(queue.commit(std::move(*decoded), message->pieces, std::string(last_piece)),
        [number, bytes](Connection& self, const Result<void>& done) {
            self.committed(number, bytes, done);
        });
    return true;
}

void Connection::committed(std::uint64_t number, std::size_t bytes, const Result<void>& done) {
    ended(bytes);
    const auto found = messages.find(number);
    if (found == messages.end()) return;
    if (done) {
        say(FrameType::Committed, number);
    } else {
        if (found->second.pieces > 0) queue.forget(number);
        refuse(number, done.error());
    }
    messages.erase(found);
    grant();
    if (is_idle()) tell_idle();
}

/// The peer may discard what we have just answered: then the number is unknown here, and that is no
/// breach.
bool Connection::take_discard(std::uint64_t number) {
    if (use_ticket(number)) return true;
    const auto found = messages.find(number);
    if (found == messages.end() || found->second.committing) return true;
    if (found->second.pieces > 0) queue.forget(number);
    messages.erase(found);
    return true;
}

bool Connection::take_return(const Frame& frame) {
    std::string_view payload = frame.payload;
    const auto count = take_u32(payload);
    if (!count || !payload.empty() || *count > kTicketsMax) return false;
    for (std::uint32_t i = 0; i < *count; ++i) {
        if (!use_ticket(frame.number + i)) return false;
    }
    return true;
}

void Connection::say(FrameType type, std::uint64_t number, std::string_view payload) {
    if (stopped) return;
    append_frame(channel->outgoing(), type, number, payload);
    channel->flush();
}

void Connection::refuse(std::uint64_t number, const Error& error) {
    std::string payload(1, static_cast<char>(error.code));
    payload += error.message;
    say(FrameType::Refused, number, payload);
}

void Connection::began(std::size_t bytes) {
    bytes_under_way += bytes;
    if (bytes_under_way > kUnderWayMax) channel->pause();
}

void Connection::ended(std::size_t bytes) {
    bytes_under_way -= bytes;
    if (bytes_under_way <= kUnderWayMax / 2) channel->resume();
}

struct InboxServer::State : std::enable_shared_from_this<InboxServer::State> {
    State(Queue& the_queue, asio::any_io_executor executor, const Clock& the_clock,
          const Log& the_log, const Options& the_options)
        : queue(the_queue),
          network(std::move(executor)),
          clock(the_clock),
          log(the_log),
          options(the_options),
          drained(network) {}

    bool is_idle() const {
        return std::all_of(connections.begin(), connections.end(),
                           [](const auto& each) { return each->is_idle(); });
    }

    Queue& queue;
    const asio::any_io_executor network;
    const Clock& clock;
    const Log log;
    const Options options;
    std::function<void()> on_begin;
    std::list<std::shared_ptr<Connection>> connections;
    asio::steady_timer drained;  ///< Cancelled when nothing is under way any more.
    bool draining = false;
};

InboxServer::InboxServer(Queue& queue, asio::any_io_executor network, const Clock& clock,
                         const Log& log, Options options)
    : state_(std::make_shared<State>(queue, std::move(network), clock, log, options)) {}

InboxServer::~InboxServer() {
    for (const auto& connection : state_->connections) connection->stop();
    state_->connections.clear();
    state_->drained.cancel();
}

void InboxServer::attach(UniqueFd channel) {
    if (state_->draining) return;
    auto connection = std::make_shared<Connection>(state_->queue, state_->network, state_->options,
                                                   std::move(channel));
    state_->connections.push_back(connection);
    const std::weak_ptr<State> weak = state_;
    const std::weak_ptr<Connection> self = connection;
    const auto wake = [weak] {
        const auto state = weak.lock();
        if (state && state->draining && state->is_idle()) state->drained.cancel();
    };
    const auto end = [weak, self, wake](const Error& reason) {
        const auto state = weak.lock();
        if (!state) return;
        if (reason.code == ErrorCode::Protocol) state->log.error(reason.message + "; closed");
        state->connections.remove(self.lock());
        wake();
    };
    connection->start(state_->on_begin, end, wake);
}

void InboxServer::on_begin(std::function<void()> tell) {
    state_->on_begin = std::move(tell);
}

net::Awaitable<void> InboxServer::drain(MonotonicTime deadline) {
    const auto state = state_;
    state->draining = true;
    for (const auto& connection : state->connections) connection->drain();
    state->drained.expires_after(deadline - state->clock.monotonic());
    if (!state->is_idle()) {
        (void)co_await state->drained.async_wait(asio::as_tuple(asio::use_awaitable));
    }
    // The last answers are still on their way out; closing is the owner's destructor's work.
    co_return;
}

}  // namespace postrider::queue
