// Cuts a stream of bytes, split anywhere, into lines.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace postrider::message {

/// A line without its end, or a piece of one that is longer than the limit. Holds no CR and no LF.
struct LinePiece {
    std::string_view text;  ///< Valid until the sink returns.
    bool first = true;
    bool last = true;
};

class LineSink {
public:
    virtual void take(const LinePiece& piece) = 0;

protected:
    ~LineSink() = default;
};

/// What becomes of CRs before an LF; every other CR becomes a space.
enum class TrailingCr {
    Strip,   ///< They belong to the line end, however many there are.
    Decide,  ///< Strip if the first line had one, otherwise Keep.
    Keep,    ///< They are content, and so become spaces.
};

/// Memory: one piece. What is cut does not depend on how the bytes were split over calls.
class LineCutter {
public:
    LineCutter(TrailingCr trailing_cr, std::size_t piece_length)
        : trailing_cr_(trailing_cr), piece_length_(piece_length) {}

    void write(std::string_view bytes, LineSink& sink);
    /// The input ends here: a line without line end gets one.
    void finish(LineSink& sink);

private:
    void append(std::string_view text, LineSink& sink);
    void append_plain(std::string_view text, LineSink& sink);
    void append_spaces(std::size_t count, LineSink& sink);
    void end_line(LineSink& sink);
    void emit(std::string_view text, bool last, LineSink& sink);
    bool is_between_lines() const { return held_.empty() && first_ && cr_count_ == 0; }

    TrailingCr trailing_cr_;
    std::size_t piece_length_;
    std::string held_;          ///< The piece that is not complete yet.
    std::size_t cr_count_ = 0;  ///< CRs behind `held_` whose meaning is not known yet.
    bool first_ = true;         ///< The next piece is the first of its line.
};

}  // namespace postrider::message
