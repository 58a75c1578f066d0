// The line between the master and one worker: short notes, each with at most one descriptor.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>

#include "core/result.h"
#include "core/unique_fd.h"

namespace postrider::daemon {

inline constexpr std::size_t kNoteTextMax = 1000;

/// What master and workers say to each other.
struct Note {
    enum class Kind : std::uint8_t {
        Ready,  ///< Worker: serving. Master has told the service manager once both have.
        Stop,   ///< Master: finish what is under way, then exit; `number` 1: there is a successor.
        Channel,  ///< Master: `fd` is one end of a channel between intake and courier.
        Drop,     ///< Master to intake: `fd` is maildrop/`text`, left there by user `number`.
        Taken,    ///< Intake: maildrop/`text` is in the queue, its file may go.
        Refused,  ///< Intake: maildrop/`text` will never be accepted; `number` 1 for malformed.
        Later,    ///< Intake: maildrop/`text` could not be taken now.
        Flush,    ///< Worker: look into maildrop/ again.
        Open,     ///< To a keeper: open `text`; from it: `fd`, or in `text` why not.
        Quiet,    ///< Master: has anything happened since I asked last? Worker: 1 for nothing.
        Alert,    ///< Courier: tell a person; `text` as in alert_program.h, `number` is since when.
    };
    Kind kind = Kind::Ready;
    std::int64_t number = 0;
    std::string text;  ///< At most kNoteTextMax bytes.
    UniqueFd fd;

    explicit Note(Kind what) : kind(what) {}
    Note(Kind what, std::int64_t value, std::string name, UniqueFd descriptor = UniqueFd())
        : kind(what), number(value), text(std::move(name)), fd(std::move(descriptor)) {}
};

/// A connected pair of SOCK_SEQPACKET sockets, non-blocking and close-on-exec.
Result<std::pair<UniqueFd, UniqueFd>> make_link();
/// A connected pair of SOCK_STREAM sockets, non-blocking and close-on-exec.
Result<std::pair<UniqueFd, UniqueFd>> make_channel();

/// Sends a note; Unavailable when the other side does not keep up, Connection when it is gone.
Result<void> send_note(int link, const Note&);

/// The next note, nothing if none is there yet, Connection when the other side is gone.
Result<std::optional<Note>> receive_note(int link);

}  // namespace postrider::daemon
