// Reads a stream line by line, or as it comes, through one bounded buffer.
#pragma once

#include <cstddef>
#include <string_view>
#include <vector>

#include "net/stream.h"

namespace postrider::net {

/// A line without its end. `text` stays valid until the next read.
struct Line {
    enum class End { CrLf, Lf };

    std::string_view text;
    End end = End::CrLf;
    /// The line was longer than the bound: it has been skipped to its end, `text` is its beginning.
    bool too_long = false;
};

/// Buffered reading for dialogues of lines. Owns its buffer, not the stream. Views it returns point
/// into the buffer and are valid until the next call that reads or attaches.
class LineReader {
public:
    /// `line_length_max` counts bytes without the line end.
    LineReader(Stream&, std::size_t line_length_max, std::size_t read_size = 16 * 1024);

    /// The next line, up to LF. A CR elsewhere than before the LF is part of the text. The peer's
    /// end of the stream is ErrorCode::Connection; a last line without an end is not a line. A line
    /// too long costs no memory beyond the bound.
    Awaitable<Result<Line>> read_line(MonotonicTime deadline);
    /// What is buffered, or else the next bytes from the stream; empty at its end.
    Awaitable<Result<std::string_view>> read_some(MonotonicTime deadline);

    /// What has been received and not yet returned: pipelined commands, or what an attacker put
    /// behind a STARTTLS. Consuming part of it is for callers that parse raw bytes themselves.
    std::string_view buffered() const;
    void consume(std::size_t bytes);
    /// A whole line is already here: read_line() will not wait.
    bool has_line() const;

    /// Reads from another stream from now on (after STARTTLS). Nothing may be buffered.
    void attach(Stream&);
    void set_line_length_max(std::size_t bytes) { line_length_max_ = bytes; }

private:
    Awaitable<Result<bool>> fill(MonotonicTime deadline);
    Awaitable<Result<void>> skip_to_line_end(Line& line, MonotonicTime deadline);
    Line take_line(std::size_t line_feed);

    Stream* stream_;
    std::size_t line_length_max_;
    std::size_t read_size_;
    std::vector<char> buffer_;
    std::size_t begin_ = 0;    ///< of what is not yet returned
    std::size_t end_ = 0;      ///< of what has been received
    std::size_t scanned_ = 0;  ///< no LF in [begin_, scanned_)
};

}  // namespace postrider::net
