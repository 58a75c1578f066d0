// A message on its way from a client into the queue: clean-up in front, the inbox behind.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

#include "core/log.h"
#include "core/result.h"
#include "message/cleanup.h"
#include "net/stream.h"
#include "queue/inbox.h"

namespace postrider::intake {

/// Owns a reserved queue id until the message is committed; what is not, is discarded when this
/// ends, whatever the way. Content goes through in pieces: memory does not grow with the message.
class IncomingMessage {
public:
    /// What became of it.
    struct Committed {};
    struct Dropped {};  ///< A rule said DISCARD: the client hears success.
    using Outcome = std::variant<Committed, Dropped, message::Rejected, Error>;

    /// The inbox must outlive it.
    IncomingMessage(queue::Inbox& inbox, queue::Ticket ticket);
    ~IncomingMessage();
    IncomingMessage(const IncomingMessage&) = delete;
    IncomingMessage& operator=(const IncomingMessage&) = delete;

    const queue::Ticket& ticket() const { return ticket_; }

    /// The envelope is known and content follows. The options must outlive it.
    void begin(const message::CleanupOptions& options, Log log, message::Submission submission);
    /// It lay in maildrop: queue::NewMessage::drop.
    void came_from(std::string drop) { drop_ = std::move(drop); }
    bool has_begun() const { return cleanup_.has_value(); }

    /// Takes content as the client sent it. Trouble with the queue is remembered for commit(): the
    /// client sends on, and has to be heard out before it can be told.
    net::Awaitable<void> write(std::string_view bytes);
    /// A lone dot has ended the content (`Submission::dot_ends`).
    bool at_end() const { return cleanup_ && cleanup_->at_end(); }

    /// The content is complete. Returns once the message is durable, or will not be.
    net::Awaitable<Outcome> commit(std::int64_t submitter_uid, std::string client);

    /// The message may be the queue's or not: neither acceptance nor refusal would be true.
    static bool is_in_doubt(const Outcome&);

private:
    net::Awaitable<void> hand_over(std::string output);
    std::optional<Outcome> conclude(queue::NewMessage& message);

    queue::Inbox& inbox_;
    queue::Ticket ticket_;
    WallTime arrival_;
    std::optional<message::Cleanup> cleanup_;
    std::string drop_;
    std::string rest_;  // Less than a piece, not handed over yet.
    std::optional<Error> failure_;
    bool finished_ = false;
};

}  // namespace postrider::intake
