// One SMTP session: the dialogue, driven over a stream.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "core/log.h"
#include "core/result.h"
#include "intake/client.h"
#include "intake/client_rates.h"
#include "intake/dialogue.h"
#include "intake/incoming_message.h"
#include "intake/input_buffer.h"
#include "intake/slots.h"
#include "message/cleanup.h"
#include "net/stream.h"
#include "net/timers.h"
#include "queue/inbox.h"

namespace postrider::intake {

/// Parameters of main.cf by their own names, and what reliability asks beyond them.
struct SessionOptions {
    Duration smtpd_timeout = std::chrono::seconds{300};  ///< For each command and each read.
    Duration smtpd_error_sleep_time = std::chrono::seconds{1};
    Duration message_time_max = std::chrono::hours{1};  ///< From DATA to the final dot.
    std::size_t line_length_limit = 2048;               ///< Of a command.
};

/// What all sessions share. Everything must outlive them.
struct Services {
    const DialogueOptions& dialogue;
    const SessionOptions& session;
    const message::CleanupOptions& cleanup;
    queue::Inbox& inbox;
    net::Timers& timers;
    const Log& log;  ///< Any program name; smtpd, cleanup and pickup are taken from it.
    ClientRates* rates = nullptr;  ///< None: no limits.
};

/// Speaks with one client until it leaves, or is made to. Replies to pipelined commands go out in
/// one write. Content streams through clean-up into the inbox; 250 is said only when the commit has
/// returned.
class SmtpSession {
public:
    /// Stream, services and slot must outlive it.
    SmtpSession(net::Stream& stream, Client client, const Services& services, Slot& slot);
    ~SmtpSession();
    SmtpSession(const SmtpSession&) = delete;
    SmtpSession& operator=(const SmtpSession&) = delete;

    /// The whole session. `talked_early`: the client sent something before it could have seen the
    /// greeting. Closes the stream.
    net::Awaitable<void> run(bool talked_early);
    /// Before run(): what the client has sent, if somebody has read it from the stream already.
    void start_with(std::string_view bytes) { input_.append(bytes); }

private:
    net::Awaitable<Result<void>> converse();
    net::Awaitable<Result<InputBuffer::Line>> next_line();
    net::Awaitable<Result<void>> slow_down();
    net::Awaitable<Result<void>> obey(const Dialogue::Turn& turn);
    net::Awaitable<void> open_message();
    net::Awaitable<Result<void>> read_data();
    net::Awaitable<Result<void>> read_chunk(smtp::BdatCommand chunk);
    net::Awaitable<Result<void>> wait_for_content();
    net::Awaitable<Result<void>> skip_chunk(std::uint64_t size);
    net::Awaitable<void> take_content(std::string_view bytes);
    net::Awaitable<Result<void>> finish_message();
    net::Awaitable<Result<void>> flush();
    net::Awaitable<void> leave(Error error);

    Dialogue::Turn turn_after(const InputBuffer::Line& line);
    void say(const smtp::Reply& reply);
    void begin_message();
    smtp::Reply reply_to(const IncomingMessage::Outcome& outcome);
    void forget_message();
    bool is_oversized() const;
    void heed(Farewell farewell);
    bool must_leave() const;
    MonotonicTime command_deadline() const;
    MonotonicTime content_deadline() const;

    net::Stream& stream_;
    const Services& services_;
    Slot& slot_;
    Log log_;
    Dialogue dialogue_;
    InputBuffer input_;
    std::string replies_;  // Not sent yet.

    std::optional<IncomingMessage> message_;
    bool receiving_ = false;  // Content is due: `(N bytes)` belongs in the log.
    std::uint64_t content_bytes_ = 0;
    MonotonicTime content_begun_;
    bool has_nul_ = false;

    std::optional<Farewell> farewell_;
    bool mute_ = false;  // A reply could not be sent whole: another must not follow.
};

}  // namespace postrider::intake
