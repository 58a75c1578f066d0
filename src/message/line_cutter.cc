#include "message/line_cutter.h"

#include <algorithm>
#include <cstring>
#include <utility>

namespace postrider::message {
namespace {

bool has_cr(std::string_view text) {
    return std::memchr(text.data(), '\r', text.size()) != nullptr;
}

std::string_view without_trailing_crs(std::string_view text) {
    while (!text.empty() && text.back() == '\r') text.remove_suffix(1);
    return text;
}

}  // namespace

void LineCutter::write(std::string_view bytes, LineSink& sink) {
    while (!bytes.empty()) {
        const auto* lf = static_cast<const char*>(std::memchr(bytes.data(), '\n', bytes.size()));
        if (lf == nullptr) return append(bytes, sink);
        std::string_view line = bytes.substr(0, static_cast<std::size_t>(lf - bytes.data()));
        bytes.remove_prefix(line.size() + 1);

        // Nearly every line of nearly every message: whole, of modest length, with no stray CR.
        if (is_between_lines() && trailing_cr_ == TrailingCr::Strip) {
            const std::string_view bare = without_trailing_crs(line);
            if (bare.size() <= piece_length_ && !has_cr(bare)) {
                sink.take(LinePiece{bare, true, true});
                continue;
            }
        }
        append(line, sink);
        end_line(sink);
    }
}

void LineCutter::finish(LineSink& sink) {
    if (is_between_lines()) return;
    append_spaces(std::exchange(cr_count_, 0), sink);
    emit(held_, true, sink);
}

void LineCutter::append(std::string_view text, LineSink& sink) {
    while (!text.empty()) {
        const std::string_view plain = text.substr(0, text.find('\r'));
        if (!plain.empty()) {
            append_spaces(std::exchange(cr_count_, 0), sink);
            append_plain(plain, sink);
            text.remove_prefix(plain.size());
        }
        const std::size_t crs = std::min(text.find_first_not_of('\r'), text.size());
        cr_count_ += crs;
        text.remove_prefix(crs);
    }
}

// A piece goes out when it is full and more is known to follow, so that a line of exactly one piece
// is one piece.
void LineCutter::append_plain(std::string_view text, LineSink& sink) {
    while (held_.size() + text.size() > piece_length_) {
        const std::size_t room = piece_length_ - held_.size();
        if (held_.empty()) {
            emit(text.substr(0, room), false, sink);
        } else {
            held_.append(text.substr(0, room));
            emit(held_, false, sink);
        }
        text.remove_prefix(room);
    }
    held_.append(text);
}

void LineCutter::append_spaces(std::size_t count, LineSink& sink) {
    static constexpr std::string_view kSpaces = "                                ";
    while (count > 0) {
        const std::size_t some = std::min(count, kSpaces.size());
        append_plain(kSpaces.substr(0, some), sink);
        count -= some;
    }
}

void LineCutter::end_line(LineSink& sink) {
    if (trailing_cr_ == TrailingCr::Decide) {
        trailing_cr_ = cr_count_ > 0 ? TrailingCr::Strip : TrailingCr::Keep;
    }
    const std::size_t crs = std::exchange(cr_count_, 0);
    if (trailing_cr_ == TrailingCr::Keep) append_spaces(crs, sink);
    emit(held_, true, sink);
}

void LineCutter::emit(std::string_view text, bool last, LineSink& sink) {
    sink.take(LinePiece{text, first_, last});
    first_ = last;
    held_.clear();
}

}  // namespace postrider::message
