#include "message/downgrade.h"

#include <algorithm>
#include <utility>

#include "core/ascii.h"
#include "message/header_field.h"

namespace postrider::message {

namespace {

constexpr std::string_view kCrlf = "\r\n";
constexpr std::size_t kQuotedLineMax = 73;  // Then a soft break: Postfix breaks there, too.

/// Stands for itself in quoted-printable, wherever it is.
bool is_plain(char c) {
    return c > ' ' && c < 0x7f && c != '=';
}

void append_quoted(char c, std::string& out) {
    static constexpr std::string_view kHexDigits = "0123456789ABCDEF";
    const auto byte = static_cast<unsigned char>(c);
    out += '=';
    out += kHexDigits[byte >> 4];
    out += kHexDigits[byte & 15];
}

}  // namespace

void EightBitDowngrade::write(std::string_view in, std::string& out) {
    while (!in.empty()) {
        const auto end = in.find('\n');
        const bool line_end = end != std::string_view::npos;
        auto part = in.substr(0, line_end ? end + 1 : in.size());
        // A piece is never cut between CR and LF: the CR waits in line_ for what follows it.
        const std::size_t room = kPieceMax + kCrlf.size() - line_.size();
        part = part.substr(0, room);
        line_ += part;
        in.remove_prefix(part.size());
        if (line_.ends_with('\n')) {
            std::string_view text = line_;
            text.remove_suffix(text.ends_with(kCrlf) ? 2 : 1);
            piece(text, line_start_, true, out);
            line_.clear();
            line_start_ = true;
        } else if (line_.size() == kPieceMax + kCrlf.size()) {
            piece(std::string_view(line_).substr(0, kPieceMax), line_start_, false, out);
            line_.erase(0, kPieceMax);
            line_start_ = false;
        }
    }
}

void EightBitDowngrade::finish(std::string& out) {
    if (!line_.empty() || !line_start_) piece(line_, line_start_, true, out);
    line_.clear();
    line_start_ = true;
    if (structure_.is_in_headers()) end_header_block(false, out);
}

void EightBitDowngrade::piece(std::string_view text, bool line_start, bool line_end,
                              std::string& out) {
    if (structure_.is_in_headers())
        header_line(text, line_start, line_end, out);
    else
        body_line(text, line_start, line_end, out);
}

void EightBitDowngrade::header_line(std::string_view text, bool line_start, bool line_end,
                                    std::string& out) {
    const bool is_folded = text.starts_with(' ') || text.starts_with('\t');
    if (line_start && !(in_field_ && is_folded)) {
        end_field(out);
        const auto name = text.substr(0, field_name_length(text));
        if (name.empty()) {
            // An empty line ends the block; anything else is body already. Before the body of the
            // message itself, a missing empty line is supplied.
            const bool supply_line = structure_.block() == MimeStructure::Block::Primary;
            end_header_block(text.empty(), out);
            if (text.empty() || supply_line) out += kCrlf;
            if (!text.empty()) body_line(text, line_start, line_end, out);
            return;
        }
        in_field_ = true;
        withheld_ = field_of(name) == Field::ContentTransferEncoding;
        captured_ = withheld_ || field_of(name) == Field::ContentType;
    }
    if (withheld_ && field_.size() >= kFieldMax) {
        // No encoding has a name that long. Whatever it is, it stays.
        out += std::exchange(field_, {});
        captured_ = withheld_ = false;
    }
    if (captured_ && field_.size() < kFieldMax) field_.append(text).append(line_end ? kCrlf : "");
    if (!withheld_) out.append(text).append(line_end ? kCrlf : "");
}

/// A field is complete: learn from it, and write it if it was withheld and may stay.
void EightBitDowngrade::end_field(std::string& out) {
    if (withheld_) {
        const auto encoding = first_word(value_of(field_));
        eight_bit_ =
            equals_ignoring_case(encoding, "8bit") || equals_ignoring_case(encoding, "binary");
        if (!eight_bit_) out += field_;
    } else if (captured_) {
        std::erase(field_, '\r');
        structure_.content_type(value_of(field_));
    }
    field_.clear();
    in_field_ = captured_ = withheld_ = false;
}

void EightBitDowngrade::end_header_block(bool by_empty_line, std::string& out) {
    end_field(out);
    // The parts of a container are converted one by one; around them nothing is.
    quoting_ = eight_bit_ && !structure_.is_container();
    if (eight_bit_) {
        out += "Content-Transfer-Encoding: ";
        out += quoting_ ? "quoted-printable" : "7bit";
        out += kCrlf;
    }
    eight_bit_ = false;
    structure_.headers_end(by_empty_line);
}

void EightBitDowngrade::body_line(std::string_view text, bool line_start, bool line_end,
                                  std::string& out) {
    if (line_start && structure_.body_line(text)) {
        quoting_ = false;
        in_field_ = !line_end;  // The rest of an endless boundary line is passed as a field's.
    }
    if (quoting_)
        quote(text, line_end, out);
    else
        out.append(text).append(line_end ? kCrlf : "");
}

/// RFC 2045 6.7. A line end stays one; it must not follow a space.
void EightBitDowngrade::quote(std::string_view text, bool line_end, std::string& out) {
    while (!text.empty()) {
        if (last_space_ != 0) out += std::exchange(last_space_, 0);
        if (column_ >= kQuotedLineMax) {
            out += "=\r\n";
            column_ = 0;
        }
        const auto room = text.substr(0, kQuotedLineMax - column_);
        const auto* const stop = std::find_if_not(room.begin(), room.end(), is_plain);
        if (const auto run = static_cast<std::size_t>(stop - room.begin()); run > 0) {
            out.append(room.substr(0, run));
            column_ += run;
            text.remove_prefix(run);
            continue;
        }
        const char c = text.front();
        text.remove_prefix(1);
        if (c == ' ' || c == '\t') {
            last_space_ = c;
            ++column_;
        } else {
            append_quoted(c, out);
            column_ += 3;
        }
    }
    if (!line_end) return;
    if (last_space_ != 0) append_quoted(std::exchange(last_space_, 0), out);
    out += kCrlf;
    column_ = 0;
}

}  // namespace postrider::message
