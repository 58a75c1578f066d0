// Stored content on its way to a server: dots, long lines, 7 bits.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

namespace postrider::message {

class EightBitDowngrade;

/// How the server wants the content.
struct OutgoingOptions {
    bool chunked = false;  ///< BDAT: counted, no dots, no end mark (RFC 3030).
    /// Longer lines are broken with CRLF SPACE (smtp_line_length_limit); 0: never.
    std::size_t line_length_max = 998;
    /// The server lacks 8BITMIME: parts labelled 8bit or binary become quoted-printable.
    bool convert_to_7bit = false;
};

/// What the queue knows about the content; it decides what work can be left out.
struct ContentFacts {
    std::size_t longest_line = 0;  ///< Bytes without CRLF.
    bool has_8bit = false;

    ContentFacts() = default;
    ContentFacts(std::size_t longest, bool eight_bit)
        : longest_line(longest), has_8bit(eight_bit) {}
};

/// Turns content, in pieces cut anywhere, into what goes over the wire. The content is canonical
/// (every line ends in CRLF, no other CR or LF), as the queue keeps it.
///
/// Costs nothing where nothing changes: encode() then returns the piece itself. Otherwise it
/// returns its own buffer. Either is valid until the next call.
class OutgoingEncoder {
public:
    OutgoingEncoder(const OutgoingOptions&, const ContentFacts&);
    ~OutgoingEncoder();
    OutgoingEncoder(OutgoingEncoder&&) noexcept;
    OutgoingEncoder& operator=(OutgoingEncoder&&) noexcept;

    std::string_view encode(std::string_view piece);
    /// What is left, and for DATA the end mark `.CRLF`. Call it once, last.
    std::string_view finish();

    /// The bytes on the wire are the bytes stored: a BDAT chunk's size is known beforehand.
    bool is_transparent() const;
    /// A line had to be broken: log `breaking line > 998 bytes with <CR><LF>SPACE` once.
    bool broke_line() const { return broke_line_; }

private:
    std::string_view transform(std::string_view text);
    void fold(std::string_view text);
    std::string_view stuff_dots(std::string_view text);

    std::size_t line_length_max_ = 0;  // 0: nothing to fold.
    bool chunked_ = false;
    bool broke_line_ = false;
    bool at_line_start_ = true;  // Where stuff_dots() stands.
    std::size_t column_ = 0;     // Where fold() stands.
    std::unique_ptr<EightBitDowngrade> downgrade_;
    std::string converted_;
    std::string folded_;
    std::string stuffed_;
};

/// Whether content needs the conversion: 8-bit bytes for a server without 8BITMIME, unless the
/// submitter declared it 7BIT or the operator forbids it (disable_mime_output_conversion).
/// Whoever asks knows these four; here is the rule.
bool needs_downgrade(bool has_8bit, bool declared_7bit, bool server_offers_8bitmime,
                     bool conversion_disabled);

}  // namespace postrider::message
