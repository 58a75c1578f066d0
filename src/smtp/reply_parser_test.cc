#include "smtp/reply_parser.h"

#include <random>

#include <gtest/gtest.h>

namespace postrider::smtp {

namespace {

/// What came out of a stream of bytes: replies as log text, then the error, if any.
std::vector<std::string> parsed(std::string_view bytes, std::size_t piece_size) {
    ReplyParser parser;
    std::vector<std::string> found;
    while (!bytes.empty()) {
        parser.append(bytes.substr(0, piece_size));
        bytes.remove_prefix(std::min(piece_size, bytes.size()));
        for (;;) {
            auto reply = parser.next();
            if (!reply) {
                found.push_back("error: " + reply.error().message);
                return found;
            }
            if (!*reply) break;
            found.push_back(log_text(**reply));
        }
    }
    if (parser.pending()) found.push_back("pending");
    return found;
}

}  // namespace

TEST(ReplyParser, ReadsRepliesHoweverTheyAreCut) {
    struct Row {
        std::string bytes;
        std::vector<std::string> expected;
    };
    const std::vector<Row> rows = {
        {"250 2.0.0 Ok\r\n", {"250 2.0.0 Ok"}},
        {"250\r\n", {"250"}},
        {"250-a\r\n250-b\r\n250 c\r\n", {"250-a 250-b 250 c"}},
        {"250-a\n250 c\n", {"250-a 250 c"}},
        {"220 x\r\n250 y\r\n", {"220 x", "250 y"}},
        {"250-\r\n250\r\n", {"250- 250"}},
        {"250 a\r", {"pending"}},
        {"250-a\r\n", {"pending"}},
        {std::string("250 a\0b\x1b[2J\x9b\r\n", 14), {"250 a?b?[2J?"}},
        {"250 caf\xc3\xa9\r\n", {"250 caf\xc3\xa9"}},
        {"250 a\rb\r\n", {"250 a?b"}},
        {"250-a\r\n550 b\r\n", {"error: one reply with codes 250 and 550"}},
        {"garbage\r\n250 ok\r\n", {"error: non-ESMTP response: garbage"}},
        {"\r\n", {"error: non-ESMTP response: "}},
        {"2500 x\r\n", {"error: non-ESMTP response: 2500 x"}},
        {"25 x\r\n", {"error: non-ESMTP response: 25 x"}},
        {" 250 x\r\n", {"error: non-ESMTP response:  250 x"}},
        {"250x\r\n", {"error: non-ESMTP response: 250x"}},
        {"150 x\r\n", {"error: reply code out of range: 150 x"}},
        {"650 x\r\n", {"error: reply code out of range: 650 x"}},
        {"250 ok\r\nHTTP/1.1 400\r\n", {"250 ok", "error: non-ESMTP response: HTTP/1.1 400"}},
    };
    for (const Row& row : rows)
        for (const std::size_t piece : {1U, 2U, 3U, 7U, 1000U})
            EXPECT_EQ(parsed(row.bytes, piece), row.expected) << row.bytes << " by " << piece;
}

TEST(ReplyParser, StaysBrokenAfterAnError) {
    ReplyParser parser;
    parser.append("nonsense\r\n250 ok\r\n");
    EXPECT_FALSE(parser.next());
    parser.append("250 ok\r\n");
    auto again = parser.next();
    ASSERT_FALSE(again);
    EXPECT_EQ(again.error().code, ErrorCode::Protocol);
    EXPECT_EQ(again.error().message, "non-ESMTP response: nonsense");
}

TEST(ReplyParser, ShowsSurplusBytes) {
    ReplyParser parser;
    EXPECT_FALSE(parser.pending());
    parser.append("220 go ahead\r\n250 injected\r\n");
    ASSERT_TRUE(parser.next()->has_value());
    EXPECT_TRUE(parser.pending());
    ASSERT_TRUE(parser.next()->has_value());
    EXPECT_FALSE(parser.pending());
    parser.append("2");
    EXPECT_FALSE(parser.next()->has_value());
    EXPECT_TRUE(parser.pending());
}

TEST(ReplyParser, CutsLongLines) {
    for (const auto& [length, kept] :
         {std::pair{2044, 2044}, std::pair{2045, 2044}, std::pair{1000000, 2044}}) {
        for (const std::size_t piece : {999U, 4096U, 2000000U}) {
            ReplyParser parser;
            const std::string bytes = "250 " + std::string(length, 'x') + "\r\n";
            std::optional<Reply> reply;
            for (std::size_t i = 0; i < bytes.size(); i += piece) {
                parser.append(std::string_view(bytes).substr(i, piece));
                reply = *parser.next();
            }
            ASSERT_TRUE(reply);
            EXPECT_EQ(reply->lines[0].size(), static_cast<std::size_t>(kept)) << length;
            EXPECT_FALSE(parser.pending());
        }
    }
}

TEST(ReplyParser, TakesAHundredLinesAndNoMore) {
    std::string lines;
    for (int i = 0; i < 99; ++i) lines += "250-x\r\n";
    EXPECT_EQ(parsed(lines + "250 x\r\n", 100).size(), 1U);
    EXPECT_EQ(parsed(lines + "250-x\r\n250 x\r\n", 100),
              std::vector<std::string>{"error: reply of more than 100 lines"});
}

TEST(ReplyParser, GivesTheSameForEverySplitOfRandomBytes) {
    std::mt19937 random(7);
    const std::string alphabet = "2245500 --\r\n\nax\x01\xff";
    for (int round = 0; round < 3000; ++round) {
        std::string bytes;
        for (unsigned i = random() % 60; i > 0; --i) {
            if (random() % 4 == 0)
                bytes += "250-ab\r\n250 c\r\n";
            else
                bytes += alphabet[random() % alphabet.size()];
        }
        const auto whole = parsed(bytes, bytes.size() + 1);
        for (const std::size_t piece : {1U, 2U, 5U})
            ASSERT_EQ(parsed(bytes, piece), whole) << bytes;
    }
}

}  // namespace postrider::smtp
