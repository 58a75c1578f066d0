// Finds the end of DATA content and takes the dot-stuffing off, piece by piece (RFC 5321 4.5.2).
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace postrider::smtp {

/// The content of one DATA command. However the bytes are split, it ends at CRLF.CRLF and at
/// nothing that looks like it: a bare LF ends a line of the message, but is never part of the end
/// (`smtpd_forbid_bare_newline = normalize`), and a bare CR is only a byte. DATA's own CRLF counts
/// as the one before the first line. A dot that begins any line, and is not the end, is stuffing.
///
///     while (!input.empty() && !reader.at_end()) {
///         const auto step = reader.next(input);
///         cleanup.write(step.content);
///         input.remove_prefix(step.consumed);
///     }
///
/// Line ends stay as they were sent. Constant memory, nothing copied, time linear in the input.
class DataReader {
public:
    struct Step {
        std::string_view content;  ///< Of the message; in the input, or of static life.
        std::size_t consumed = 0;  ///< Bytes of the input that are done with; may be 0.
    };

    /// Takes a part of `input`, which is not empty. What follows the end is left alone: it is the
    /// next command.
    Step next(std::string_view input);

    /// The final CRLF.CRLF has been read.
    bool at_end() const { return state_ == State::End; }

private:
    enum class State : std::uint8_t {
        LineStart,       ///< CRLF was read.
        LooseLineStart,  ///< A bare LF was read: a dot here can be stuffing only.
        Dot,             ///< CRLF and a dot, which is being held back.
        DotCr,           ///< CRLF, dot, CR; both are being held back.
        Inside,          ///< In a line.
        InsideCr,        ///< In a line, and its last byte is a CR.
        End,
    };

    Step inside(std::string_view input);

    State state_ = State::LineStart;
};

}  // namespace postrider::smtp
