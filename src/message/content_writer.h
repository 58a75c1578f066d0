// Collects canonical content and counts what the queue wants to know of it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "core/checksum.h"

namespace postrider::message {

/// Text that an operator wrote in a table, as one line: it may have come with the line ends of
/// another world.
std::string without_line_ends(std::string_view text);

/// Lines go in, CRLF text comes out. Keeps the counts over all that went in.
class ContentWriter {
public:
    explicit ContentWriter(std::size_t line_length_limit) : record_limit_(line_length_limit) {}

    /// Adds text to the current line and, if it is the last of it, ends the line. The text must
    /// hold neither CR nor LF.
    void write(std::string_view text, bool last);
    void line(std::string_view text) { write(text, true); }
    /// Whether the last line is not ended yet.
    bool is_line_open() const { return line_length_ > 0; }

    std::size_t pending() const { return buffer_.size(); }
    /// What was written since the last call.
    std::string take();
    /// Forgets what is pending and writes nothing more: the message will not be kept.
    void stop();

    /// As Postfix counts a message, in records of its queue file: a line counts two bytes more than
    /// its length, three from 128 bytes on, four from 16384; a line beyond the line length limit
    /// counts so for each piece of that length.
    std::uint64_t size() const { return size_; }
    std::uint64_t length() const { return length_; }
    std::size_t longest_line() const { return longest_line_; }
    /// Of all that was written.
    std::uint32_t checksum();
    bool has_8bit();

private:
    void digest();

    std::size_t record_limit_;
    std::string buffer_;
    std::size_t digested_ = 0;  ///< Bytes of the buffer that are in checksum and 8-bit flag.
    std::uint64_t size_ = 0;
    std::uint64_t length_ = 0;
    std::size_t line_length_ = 0;
    std::size_t longest_line_ = 0;
    Checksum checksum_;
    bool has_8bit_ = false;
    bool stopped_ = false;
};

}  // namespace postrider::message
