#include "net/line_reader.h"

#include <deque>

#include <gtest/gtest.h>

#include "net/run.h"
#include "net/until.h"

namespace postrider::net {
namespace {

// Gives out what it holds, in pieces of a given size, then the end of the stream.
class Pieces final : public Stream {
public:
    Pieces(std::string text, std::size_t size) : text_(std::move(text)), size_(size) {}

    Awaitable<Result<std::size_t>> read_some(std::span<char> into, MonotonicTime) override {
        largest_read = std::max(largest_read, into.size());
        const std::size_t count = std::min({size_, into.size(), text_.size() - position_});
        text_.copy(into.data(), count, position_);
        position_ += count;
        co_return count;
    }
    Awaitable<Result<void>> write(std::span<const boost::asio::const_buffer>,
                                  MonotonicTime) override {
        co_return Result<void>();
    }
    void cancel() override {}
    void close() override {}

    std::size_t largest_read = 0;

private:
    std::string text_;
    std::size_t size_;
    std::size_t position_ = 0;
};

// Every line as `text`, with `$` for CR LF, `/` for a bare LF, and `~` before it if it was too
// long; then how the reading ended.
std::string all_lines(std::string text, std::size_t line_length_max, std::size_t piece) {
    boost::asio::io_context loop;
    Pieces stream(std::move(text), piece);
    LineReader reader(stream, line_length_max, 16);
    std::string result;
    for (;;) {
        auto line = run(loop, reader.read_line(kNever));
        if (!line) {
            return result + (line.error().code == ErrorCode::Connection ? "." : "?");
        }
        result.append(line->text);
        if (line->too_long) result += '~';
        result += line->end == Line::End::CrLf ? '$' : '/';
    }
}

struct Case {
    const char* text;
    const char* expected;
};

TEST(LineReader, SplitsLinesHoweverTheyArrive) {
    const Case cases[] = {
        {"", "."},
        {"a", "."},
        {"a\r", "."},
        {"\r\n\n", "$/."},
        {"EHLO a\r\nQUIT\r\n", "EHLO a$QUIT$."},
        {"a\rb\r\r\nc\n", "a\rb\r$c/."},
        {"12345678\r\n", "12345678$."},
        {"123456789\r\nok\r\n", "12345678~$ok$."},
        {"123456789\nok\n", "12345678~/ok/."},
        {"1234567\r\r\n", "1234567\r$."},
        {"12345678\r\r\nok\n", "12345678~$ok/."},
        {"1234567890123456789012345678901234567890\r\nok\r\n", "12345678~$ok$."},
        {"1234567890123456789012345678901234567890\r\r\r\nok\r\n", "12345678~$ok$."},
        {"12345678901234567890", "."},
        {"123456789012345678901234567\n\n\r\n", "12345678~//$."},
    };
    for (const auto& c : cases) {
        for (std::size_t piece = 1; piece <= 40; ++piece) {
            EXPECT_EQ(all_lines(c.text, 8, piece), c.expected) << piece << ": " << c.text;
        }
    }
}

TEST(LineReader, SkipsALongLineWithoutGrowing) {
    boost::asio::io_context loop;
    Pieces stream(std::string(10'000'000, 'x') + "\r\nnext\r\n", 1 << 20);
    LineReader reader(stream, 1000, 4096);

    auto line = run(loop, reader.read_line(kNever));

    ASSERT_TRUE(line);
    EXPECT_TRUE(line->too_long);
    EXPECT_EQ(line->text.size(), 1000u);
    EXPECT_EQ(run(loop, reader.read_line(kNever))->text, "next");
    EXPECT_LE(stream.largest_read, 4096u * 2);
}

TEST(LineReader, ShowsWhatIsPipelined) {
    boost::asio::io_context loop;
    Pieces stream("STARTTLS\r\nMAIL FROM:<evil>\r\nrest", 100);
    LineReader reader(stream, 100);

    run(loop, reader.read_line(kNever)).value();

    EXPECT_EQ(reader.buffered(), "MAIL FROM:<evil>\r\nrest");
    EXPECT_TRUE(reader.has_line());
    reader.consume(18);
    EXPECT_FALSE(reader.has_line());
    EXPECT_EQ(*run(loop, reader.read_some(kNever)), "rest");
    EXPECT_EQ(*run(loop, reader.read_some(kNever)), "");
}

TEST(LineReader, ReadsRawBytesBetweenLines) {
    boost::asio::io_context loop;
    Pieces stream("BDAT 5\r\nab\ncdNOOP\r\n", 12);
    LineReader reader(stream, 100);

    EXPECT_EQ(run(loop, reader.read_line(kNever))->text, "BDAT 5");
    std::string chunk;
    while (chunk.size() < 5) {
        auto more = run(loop, reader.read_some(kNever));
        ASSERT_TRUE(more);
        chunk.append(*more);
        if (chunk.size() >= 5) break;
    }
    EXPECT_EQ(chunk.substr(0, 5), "ab\ncd");
}

}  // namespace
}  // namespace postrider::net
