// The door by which messages enter the queue.
#pragma once

#include <string>

#include "core/result.h"
#include "net/stream.h"
#include "queue/message.h"

namespace postrider::queue {

/// Hands messages over to the queue: in the same process (LocalInbox) or, over a socket, to the
/// process that owns it (RemoteInbox). Belongs to the network thread; any number of messages may
/// be under way.
///
///   open() --> append()* --> commit() --> it is the queue's: answer 250
///                  \--> discard(), or the Inbox's end: it never was
class Inbox {
public:
    virtual ~Inbox() = default;

    /// Reserves a name. Usually answers at once. Unavailable when the queue is full or away:
    /// answer 451 or 452, whichever the code says (DiskFull is 452).
    virtual net::Awaitable<Result<Ticket>> open() = 0;

    /// Hands over the next piece of content, at most kPieceSize bytes. Waits only while too many
    /// pieces of this message are under way, which is what bounds memory.
    virtual net::Awaitable<Result<void>> append(std::uint64_t number, std::string piece) = 0;

    /// Hands over the last piece and the envelope. Returns once the message survives a power cut.
    /// After an error the message is forgotten; discard() need not, but may be called. After
    /// Connection or Cancelled nobody knows: it may be the queue's. Tell the client neither.
    virtual net::Awaitable<Result<void>> commit(NewMessage message, std::string last_piece) = 0;

    /// Forgets a message that was opened and not committed. Never waits.
    virtual void discard(std::uint64_t number) = 0;

    static constexpr std::size_t kPieceSize = 64 * 1024;
};

}  // namespace postrider::queue
