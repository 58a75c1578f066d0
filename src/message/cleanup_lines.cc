// From lines to header fields and body: what each line of a message belongs to.
#include <algorithm>

#include <fmt/format.h>

#include "message/cleanup_impl.h"

namespace postrider::message {
namespace {

using Block = MimeStructure::Block;

bool is_mbox_line(std::string_view line) {
    const std::size_t quotes = std::min(line.find_first_not_of('>'), line.size());
    return line.substr(quotes, 5) == "From ";
}

}  // namespace

void Cleanup::Impl::take(const LinePiece& piece) {
    if (ended_) return;
    if (piece.first) line_length_ = 0;
    line_length_ += piece.text.size();
    if (line_length_ > options_.text_line_limit) {
        refuse(554, {5, 6, 0}, "text line length exceeds safety limit", false);
    }
    if (submission_.dot_ends && piece.first && piece.last && piece.text == ".") {
        ended_ = true;
        return;
    }
    if (!started_ && skips_line(piece)) return;
    if (structure_.is_in_headers()) {
        header_line(piece);
    } else {
        body_line(piece);
    }
}

// The line that mbox files have between messages: sendmail drops it, the SMTP server keeps it as a
// field that no mailbox reader takes for a new message.
bool Cleanup::Impl::skips_line(const LinePiece& piece) {
    if (!piece.first) {
        if (!skipping_) extend_field(piece.text);
        return true;
    }
    skipping_ = false;
    if (is_mbox_line(piece.text) && submission_.trace.door != Trace::Door::Internal) {
        skipping_ = submission_.trace.door == Trace::Door::Pickup;
        if (!skipping_) {
            end_field();
            header_ = fmt::format("X-Mailbox-Line: {}", piece.text);
        }
        return true;
    }
    // A first line that begins with white space continues nothing.
    end_field();
    started_ = true;
    return false;
}

void Cleanup::Impl::header_line(const LinePiece& piece) {
    header_block_length_ += piece.text.size() + 2;
    if (structure_.block() == Block::Primary &&
        header_block_length_ > options_.header_block_limit) {
        refuse(554, {5, 6, 0}, "message header length exceeds safety limit", false);
    }
    if (!piece.first) return extend_field(piece.text);
    const bool continues = !piece.text.empty() &&
                           (piece.text.front() == ' ' || piece.text.front() == '\t') &&
                           !header_.empty();
    if (continues) {
        extend_field("\n");
        return extend_field(piece.text);
    }
    end_field();
    if (const std::size_t length = field_name_length(piece.text); length > 0) {
        return begin_field(piece.text, length);
    }
    end_headers(piece);
}

// `Subject : text` becomes `Subject: text`, for us and for all who read it after us.
void Cleanup::Impl::begin_field(std::string_view line, std::size_t name_length) {
    header_ = line.substr(0, name_length);
    extend_field(line.substr(line.find(':', name_length)));
}

void Cleanup::Impl::extend_field(std::string_view text) {
    const std::size_t limit = options_.header_size_limit;
    if (header_.size() + text.size() > limit && submission_.extract_recipients &&
        structure_.block() == Block::Primary) {
        refuse(554, {5, 6, 0}, "message header length exceeds safety limit", false);
    }
    if (header_.size() < limit) header_.append(text.substr(0, limit - header_.size()));
}

void Cleanup::Impl::end_headers(const LinePiece& piece) {
    const bool empty_line = piece.text.empty() && piece.last;
    const bool primary = structure_.block() == Block::Primary;
    if (primary) primary_headers_end();
    structure_.headers_end(empty_line);
    segment_offset_ = 0;
    if (primary && !empty_line) put_body(LinePiece{"", true, true});
    if (structure_.is_in_headers()) {
        put_body(piece);
    } else {
        body_line(piece);
    }
}

void Cleanup::Impl::body_line(const LinePiece& piece) {
    if (piece.first && structure_.body_line(piece.text)) segment_offset_ = 0;
    put_body(piece);
}

void Cleanup::Impl::put_body(const LinePiece& piece) {
    const std::uint64_t limit = options_.body_checks_size_limit;
    const bool checked = !options_.body_checks.empty() && checks_.is_enabled() &&
                         (limit == 0 || segment_offset_ < limit) && !piece.text.empty();
    segment_offset_ += piece.text.size() + 1;
    if (!checked) {
        writer_.write(piece.text, piece.last);
    } else {
        CheckEffect effect =
            checks_.check(options_.body_checks, ContentChecks::Subject::Body, piece.text);
        if (effect.prepended) writer_.line(without_line_ends(*effect.prepended));
        if (effect.kind == CheckEffect::Kind::Keep) {
            writer_.write(piece.text, piece.last);
        } else if (effect.kind == CheckEffect::Kind::Replace) {
            writer_.write(without_line_ends(effect.replacement), piece.last);
        } else if (piece.last && writer_.is_line_open()) {
            writer_.line("");
        }
        if (!wants_output()) writer_.stop();
    }
    if (header_length_ == 0) header_length_ = writer_.length();
    if (options_.message_size_limit > 0 && writer_.size() > options_.message_size_limit) {
        refuse(552, {5, 3, 4}, "message file too big", false);
    }
}

}  // namespace postrider::message
