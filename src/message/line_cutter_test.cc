#include "message/line_cutter.h"

#include <algorithm>

#include <gtest/gtest.h>

namespace postrider::message {
namespace {

/// Writes down pieces: `|` ends a line, `~` a piece that is not the last of its line.
class Notes final : public LineSink {
public:
    void take(const LinePiece& piece) override {
        EXPECT_EQ(piece.first, first_);
        text += piece.text;
        text += piece.last ? '|' : '~';
        first_ = piece.last;
    }
    std::string text;

private:
    bool first_ = true;
};

std::string cut(TrailingCr trailing_cr, std::string_view input, std::size_t step) {
    LineCutter cutter(trailing_cr, 4);
    Notes notes;
    for (; !input.empty(); input.remove_prefix(std::min(step, input.size()))) {
        cutter.write(input.substr(0, step), notes);
    }
    cutter.finish(notes);
    return notes.text;
}

TEST(LineCutter, CutsTheSameHoweverTheInputIsSplit) {
    struct Case {
        TrailingCr trailing_cr;
        const char* input;
        const char* expected;
    };
    const Case cases[] = {
        {TrailingCr::Strip, "", ""},
        {TrailingCr::Strip, "a\nb\r\n\n\r\nc", "a|b|||c|"},
        {TrailingCr::Strip, "a\r\r\nb", "a|b|"},
        {TrailingCr::Strip, "a\rb\r", "a b |"},
        {TrailingCr::Strip, "1234\n12345\n12345678\n123456789\n",
         "1234|1234~5|1234~5678|1234~5678~9|"},
        {TrailingCr::Strip, "1234\r\n\r\r\r\r\rx", "1234|    ~ x|"},
        {TrailingCr::Decide, "a\r\nb\r\nc\n", "a|b|c|"},
        {TrailingCr::Decide, "a\nb\r\n", "a|b |"},
        {TrailingCr::Keep, "a\r\n", "a |"},
    };
    for (const Case& one : cases) {
        for (const std::size_t step : {1U, 2U, 3U, 5U, 100U}) {
            EXPECT_EQ(cut(one.trailing_cr, one.input, step), one.expected) << one.input << step;
        }
    }
}

}  // namespace
}  // namespace postrider::message
