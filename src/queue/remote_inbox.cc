#include "queue/remote_inbox.h"

#include <algorithm>
#include <deque>
#include <optional>
#include <unordered_map>
#include <utility>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "queue/channel.h"
#include "queue/codec.h"

namespace postrider::queue {
namespace {

namespace asio = boost::asio;

constexpr Duration kBeginInterval = std::chrono::seconds{1};
/// With fewer numbers left more are asked for, so that a burst of clients need not wait for them.
constexpr std::uint64_t kNumbersLow = 128;
/// After "no room" nobody is let begin for a while: better refused at MAIL than after the content.
constexpr Duration kFullPause = std::chrono::seconds{5};

struct Numbers {
    std::uint64_t next;
    std::uint64_t end;
};

/// A message that has a ticket and is neither committed nor discarded.
struct Outgoing {
    explicit Outgoing(const asio::any_io_executor& network) : changed(network) {
        changed.expires_at(asio::steady_timer::time_point::max());
    }
    std::uint32_t pieces_under_way = 0;
    bool commit_said = false;
    std::optional<Result<void>> outcome;  ///< Of the commit, or what ended the message before.
    asio::steady_timer changed;           ///< Cancelled when something above changes.
};

Error away() {
    return {ErrorCode::Unavailable, "the queue is away"};
}

Error in_doubt() {
    return {ErrorCode::Connection, "the queue went away before it could answer"};
}

/// Waits for the timer's end or cancel(). False if the waiting coroutine itself was cancelled.
net::Awaitable<bool> wait(asio::steady_timer& timer) {
    (void)co_await timer.async_wait(asio::as_tuple(asio::use_awaitable));
    const auto cancelled = co_await asio::this_coro::cancellation_state;
    co_return cancelled.cancelled() == asio::cancellation_type::none;
}

}  // namespace

struct RemoteInbox::State : std::enable_shared_from_this<RemoteInbox::State> {
    State(asio::any_io_executor executor, const Clock& the_clock, const Options& the_options)
        : network(std::move(executor)), clock(the_clock), options(the_options), granted(network) {
        granted.expires_at(asio::steady_timer::time_point::max());
    }

    void attach(UniqueFd);
    void detach();
    bool take(const Frame&);
    bool take_grant(const Frame&);
    void take_refusal(const Frame&);
    void give_back();
    void settle(std::uint64_t number, Result<void> outcome);
    void drop(std::uint64_t number);
    std::optional<Ticket> next_ticket();
    void want_numbers();
    void hint();
    net::Awaitable<Result<void>> wait_for_numbers();

    const asio::any_io_executor network;
    const Clock& clock;
    const Options options;
    std::shared_ptr<Channel> channel;
    bool long_queue_ids = false;
    bool numbers_wanted = true;  ///< Asked for, or about to come with a new channel.
    std::deque<Numbers> numbers;
    std::unordered_map<std::uint64_t, std::shared_ptr<Outgoing>> messages;
    asio::steady_timer granted;  ///< Cancelled when numbers have come.
    std::size_t waiting = 0;
    std::optional<MonotonicTime> last_hint;
    std::optional<MonotonicTime> full_until;
};

void RemoteInbox::State::attach(UniqueFd fd) {
    detach();
    numbers_wanted = true;
    channel = std::make_shared<Channel>(network, std::move(fd));
    // A channel that is no longer ours says nothing any more: detach() closes it.
    channel->start(
        [weak = weak_from_this()](const Frame& frame) {
            const auto state = weak.lock();
            return state && state->take(frame);
        },
        [weak = weak_from_this()](const Error&) {
            if (const auto state = weak.lock()) state->detach();
        });
}

void RemoteInbox::State::detach() {
    if (channel) channel->close();
    channel.reset();
    numbers.clear();
    const auto lost = std::exchange(messages, {});
    for (const auto& [number, message] : lost) {
        const Error lost_by = message->commit_said ? in_doubt() : away();
        if (!message->outcome) message->outcome = Result<void>(Unexpected(lost_by));
        message->changed.cancel();
    }
}

bool RemoteInbox::State::take(const Frame& frame) {
    const auto found = messages.find(frame.number);
    const bool known = found != messages.end();
    switch (frame.type) {
        case FrameType::Grant:
            return take_grant(frame);
        case FrameType::Credit:
            if (!known) return true;
            if (found->second->pieces_under_way == 0) return false;
            --found->second->pieces_under_way;
            found->second->changed.cancel();
            return true;
        case FrameType::Committed:
            settle(frame.number, Result<void>());
            return true;
        case FrameType::Refused:
            take_refusal(frame);
            return true;
        case FrameType::Drain:
            give_back();
            return true;
        case FrameType::Begin:
        case FrameType::Piece:
        case FrameType::Commit:
        case FrameType::Discard:
        case FrameType::Return:
        case FrameType::Want:
            return false;
    }
    return false;
}

bool RemoteInbox::State::take_grant(const Frame& frame) {
    std::string_view payload = frame.payload;
    const auto count = take_u32(payload);
    if (!count || payload.size() != 1) return false;
    long_queue_ids = payload[0] != 0;
    numbers.push_back({frame.number, frame.number + *count});
    numbers_wanted = false;
    granted.cancel();
    return true;
}

void RemoteInbox::State::take_refusal(const Frame& frame) {
    std::string_view payload = frame.payload;
    auto code = ErrorCode::Unavailable;
    if (!payload.empty()) {
        const auto value = static_cast<unsigned char>(payload[0]);
        if (value <= static_cast<int>(ErrorCode::Unavailable)) code = static_cast<ErrorCode>(value);
        payload.remove_prefix(1);
    }
    if (code == ErrorCode::DiskFull) full_until = clock.monotonic() + kFullPause;
    settle(frame.number, Unexpected(code, std::string(payload)));
}

void RemoteInbox::State::settle(std::uint64_t number, Result<void> outcome) {
    const auto found = messages.find(number);
    if (found == messages.end()) return;
    found->second->outcome = std::move(outcome);
    found->second->changed.cancel();
}

void RemoteInbox::State::drop(std::uint64_t number) {
    if (messages.erase(number) == 0 || !channel) return;
    append_frame(channel->outgoing(), FrameType::Discard, number);
    channel->flush();
}

void RemoteInbox::State::give_back() {
    for (const Numbers& left : numbers) {
        std::string payload;
        put_u32(payload, static_cast<std::uint32_t>(left.end - left.next));
        append_frame(channel->outgoing(), FrameType::Return, left.next, payload);
    }
    numbers.clear();
    channel->flush();
}

std::optional<Ticket> RemoteInbox::State::next_ticket() {
    while (!numbers.empty() && numbers.front().next >= numbers.front().end) numbers.pop_front();
    if (!channel) return std::nullopt;
    want_numbers();
    if (numbers.empty()) return std::nullopt;
    const std::uint64_t number = numbers.front().next++;
    messages.emplace(number, std::make_shared<Outgoing>(network));
    return Ticket::make(number, clock.now(), long_queue_ids);
}

/// An open message says nothing on the channel until it has 64 KB or is complete: only we know how
/// many numbers are left.
void RemoteInbox::State::want_numbers() {
    std::uint64_t left = 0;
    for (const Numbers& block : numbers) left += block.end - block.next;
    if (left >= kNumbersLow || std::exchange(numbers_wanted, true)) return;
    append_frame(channel->outgoing(), FrameType::Want, 0);
    channel->flush();
}

void RemoteInbox::State::hint() {
    const MonotonicTime now = clock.monotonic();
    if (last_hint && now - *last_hint < kBeginInterval) return;
    last_hint = now;
    append_frame(channel->outgoing(), FrameType::Begin, 0);
    channel->flush();
}

net::Awaitable<Result<void>> RemoteInbox::State::wait_for_numbers() {
    const auto self = shared_from_this();
    if (waiting >= options.waiting_max) co_return Unexpected(away());
    asio::steady_timer patience(network, options.patience);
    ++waiting;
    const auto late = std::make_shared<bool>(false);
    patience.async_wait([self, late](const boost::system::error_code& cancelled) {
        if (cancelled) return;
        *late = true;
        self->granted.cancel();
    });
    bool alive = true;
    while (alive && !*late && (!channel || numbers.empty())) alive = co_await wait(granted);
    --waiting;
    if (!alive) co_return Unexpected(ErrorCode::Cancelled, "cancelled");
    if (*late) co_return Unexpected(away());
    co_return Result<void>();
}

RemoteInbox::RemoteInbox(asio::any_io_executor network, const Clock& clock, Options options)
    : state_(std::make_shared<State>(std::move(network), clock, options)) {}

RemoteInbox::~RemoteInbox() {
    state_->detach();
    state_->granted.cancel();
}

void RemoteInbox::attach(UniqueFd channel) {
    state_->attach(std::move(channel));
}

bool RemoteInbox::is_attached() const {
    return state_->channel != nullptr;
}

net::Awaitable<Result<Ticket>> RemoteInbox::open() {
    const auto state = state_;
    if (state->full_until && state->clock.monotonic() < *state->full_until) {
        co_return Unexpected(ErrorCode::DiskFull, "the queue has no room");
    }
    for (;;) {
        if (auto ticket = state->next_ticket()) {
            state->hint();
            co_return *ticket;
        }
        auto waited = co_await state->wait_for_numbers();
        if (!waited) co_return Unexpected(std::move(waited).error());
    }
}

net::Awaitable<Result<void>> RemoteInbox::append(std::uint64_t number, std::string piece) {
    const auto state = state_;
    const auto found = state->messages.find(number);
    if (found == state->messages.end()) co_return Unexpected(away());
    const auto message = found->second;
    while (!message->outcome && message->pieces_under_way >= kPiecesUnderWay) {
        const bool alive = co_await wait(message->changed);
        if (!alive) co_return Unexpected(ErrorCode::Cancelled, "cancelled");
    }
    if (message->outcome) co_return *message->outcome;
    ++message->pieces_under_way;
    append_frame(state->channel->outgoing(), FrameType::Piece, number, piece);
    state->channel->flush();
    co_return Result<void>();
}

net::Awaitable<Result<void>> RemoteInbox::commit(NewMessage new_message, std::string last_piece) {
    const auto state = state_;
    const std::uint64_t number = new_message.ticket.number;
    const auto found = state->messages.find(number);
    if (found == state->messages.end()) co_return Unexpected(away());
    const auto message = found->second;
    if (message->outcome) {
        state->drop(number);
        co_return *message->outcome;
    }
    std::string envelope;
    encode(new_message, envelope);
    if (envelope.size() + last_piece.size() + 4 > kPayloadMax) {
        state->drop(number);
        co_return Unexpected(ErrorCode::Limit, "the envelope is too large");
    }
    std::string& out = state->channel->outgoing();
    const std::size_t frame = begin_frame(out, FrameType::Commit, number);
    put_u32(out, static_cast<std::uint32_t>(envelope.size()));
    out.append(envelope).append(last_piece);
    end_frame(out, frame);
    state->channel->flush();
    message->commit_said = true;
    bool alive = true;
    while (alive && !message->outcome) alive = co_await wait(message->changed);
    // Not before: a new channel must not find the number, an answer must.
    if (const auto again = state->messages.find(number);
        again != state->messages.end() && again->second == message) {
        state->messages.erase(again);
    }
    if (!message->outcome) co_return Unexpected(ErrorCode::Cancelled, "cancelled");
    co_return *message->outcome;
}

void RemoteInbox::discard(std::uint64_t number) {
    state_->drop(number);
}

}  // namespace postrider::queue
