// Makes 8-bit content fit for a server that knows only 7 bits (RFC 6152 3, RFC 2045 6.7).
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "message/mime_structure.h"

namespace postrider::message {

/// Converts what is labelled `Content-Transfer-Encoding: 8bit` or `binary`: leaf parts to
/// quoted-printable, containers (multipart/*, message/rfc822) to 7bit, as their parts will be. The
/// field is replaced by a new one, last in its header block. Parts without such a label go out as
/// they are: nobody said what their bytes mean.
///
/// Streams in constant memory, whatever the content: kPieceMax of a line, kFieldMax of a field,
/// kDepthMax boundaries.
class EightBitDowngrade {
public:
    static constexpr std::size_t kPieceMax = 2048;
    static constexpr std::size_t kFieldMax = 65536;
    static constexpr std::size_t kDepthMax = 100;
    static constexpr std::size_t kBoundaryMax = 2048;

    /// Appends to `out` what can be said so far. The input is canonical, cut anywhere.
    void write(std::string_view in, std::string& out);
    void finish(std::string& out);

private:
    void piece(std::string_view text, bool line_start, bool line_end, std::string& out);
    void header_line(std::string_view text, bool line_start, bool line_end, std::string& out);
    void body_line(std::string_view text, bool line_start, bool line_end, std::string& out);
    void end_field(std::string& out);
    void end_header_block(bool by_empty_line, std::string& out);
    void quote(std::string_view text, bool line_end, std::string& out);

    MimeStructure structure_{kDepthMax, kBoundaryMax};
    std::string line_;        // What has come of the current line, up to kPieceMax.
    bool line_start_ = true;  // line_ begins a line.
    bool eight_bit_ = false;  // The header block being read says 8bit or binary.
    bool quoting_ = false;    // The body being read becomes quoted-printable.
    bool in_field_ = false;   // Some field has begun, so that a continuation belongs to it.
    std::string field_;       // The current field, if it is `captured_`.
    bool captured_ = false;   // It is Content-Type or Content-Transfer-Encoding.
    bool withheld_ = false;   // It has not been written: it may be replaced.
    std::size_t column_ = 0;  // Of the quoted-printable line.
    char last_space_ = 0;     // A space or tab at its end, which a line end would make `=20`.
};

}  // namespace postrider::message
