// Hands a message over: to the daemon, or, when it is away, to the drop directory.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "core/unique_fd.h"
#include "intake/submission_format.h"

namespace postrider::apps {

/// Where mail goes in, of the configuration.
struct Doors {
    std::string queue_directory;
    std::uint64_t message_size_limit = 0;  ///< 0 means none.
    std::string myhostname;

    std::string socket_path() const;
    std::string maildrop_path() const;
};

/// `alice(1500)`, or with the sender given by -f, as messages name the caller. Empty for a uid that
/// has no login name.
std::string caller_label(const intake::SubmissionRequest& request);

/// Finds the line of one dot that ends a message (without -i), however the text is cut.
class LoneDot {
public:
    /// How many of `bytes` belong to the message, the dot's line included; npos if all do, and more
    /// may follow.
    std::size_t find_end(std::string_view bytes);

private:
    enum class State { LineStart, Dot, Inside };
    State state_ = State::LineStart;
};

/// Connects to the daemon's submission socket; none if nobody answers.
UniqueFd connect_submit(const Doors& doors);

/// Reads the message from `input` and gives it over. A small one takes one round trip; where the
/// daemon does not answer, or cannot take it now, the message goes into maildrop instead. Does not
/// return before all of `input` is read, so that the caller's pipe does not break.
intake::SubmissionAnswer submit(const Doors& doors, const intake::SubmissionRequest& request,
                                int input);

/// Reads on until the end, for callers who look at the exit status only after they have written.
void read_to_end(int input);

bool write_all(int fd, std::string_view bytes);

}  // namespace postrider::apps
