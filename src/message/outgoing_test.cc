#include "message/outgoing.h"

#include <algorithm>
#include <random>
#include <vector>

#include <gtest/gtest.h>

namespace postrider::message {

namespace {

ContentFacts facts(std::string_view content) {
    ContentFacts facts;
    std::size_t length = 0;
    for (const char c : content) {
        length = c == '\n' ? 0 : length + (c != '\r');
        facts.longest_line = std::max(facts.longest_line, length);
        facts.has_8bit = facts.has_8bit || static_cast<unsigned char>(c) > 0x7f;
    }
    return facts;
}

std::string encoded(std::string_view content, const OutgoingOptions& options, std::size_t piece) {
    OutgoingEncoder encoder(options, facts(content));
    std::string out;
    while (!content.empty()) {
        out += encoder.encode(content.substr(0, piece));
        content.remove_prefix(std::min(piece, content.size()));
    }
    out += encoder.finish();
    return out;
}

/// What a server makes of it (RFC 5321 4.5.2); empty optional if the end mark is not exactly at
/// the end.
std::optional<std::string> received(std::string_view wire) {
    std::string content;
    while (!wire.empty()) {
        const auto end = wire.find("\r\n");
        if (end == std::string_view::npos) return std::nullopt;
        auto line = wire.substr(0, end);
        wire.remove_prefix(end + 2);
        if (line == ".") return wire.empty() ? std::optional(content) : std::nullopt;
        if (line.starts_with('.')) line.remove_prefix(1);
        content.append(line).append("\r\n");
    }
    return std::nullopt;
}

OutgoingOptions chunked() {
    OutgoingOptions options;
    options.chunked = true;
    return options;
}

}  // namespace

TEST(Outgoing, DoublesDotsAtLineStartsAndEndsWithOne) {
    struct Row {
        std::string_view content;
        std::string_view wire;
    };
    for (const Row& row :
         {Row{"", ".\r\n"}, Row{"a\r\n", "a\r\n.\r\n"}, Row{".\r\n", "..\r\n.\r\n"},
          Row{"a\r\n.b\r\n", "a\r\n..b\r\n.\r\n"}, Row{"..\r\n.", "...\r\n..\r\n.\r\n"},
          Row{"a.b\r\n.\r\n.\r\n", "a.b\r\n..\r\n..\r\n.\r\n"}, Row{"no end", "no end\r\n.\r\n"},
          Row{"\r\n", "\r\n.\r\n"}})
        for (std::size_t piece = 1; piece < 9; ++piece)
            EXPECT_EQ(encoded(row.content, {}, piece), row.wire);
}

TEST(Outgoing, LeavesNothingForWhoeverTakesABareLfForALineEnd) {
    EXPECT_EQ(encoded("a\n.\nb\r\n", {}, 100), "a\n..\nb\r\n.\r\n");
}

TEST(Outgoing, PassesBytesThroughUncopied) {
    const std::string content = "Subject: x\r\n\r\n.dot\r\n";
    OutgoingEncoder encoder(chunked(), facts(content));
    EXPECT_TRUE(encoder.is_transparent());
    EXPECT_EQ(encoder.encode(content).data(), content.data());
    EXPECT_EQ(encoder.finish(), "");

    const std::string plain = "Subject: x\r\n\r\ntext\r\n";
    OutgoingEncoder data({}, facts(plain));
    EXPECT_FALSE(data.is_transparent());
    EXPECT_EQ(data.encode(plain).data(), plain.data());
}

TEST(Outgoing, BreaksLongLinesAsPostfixDoes) {
    OutgoingOptions options = chunked();
    options.line_length_max = 10;
    struct Row {
        std::string_view content;
        std::string_view wire;
    };
    for (const Row& row :
         {Row{"0123456789\r\n", "0123456789\r\n"}, Row{"0123456789a\r\n", "0123456789\r\n a\r\n"},
          Row{"0123456789abcdefghi\r\nx\r\n", "0123456789\r\n abcdefghi\r\nx\r\n"},
          Row{"0123456789abcdefghij\r\n", "0123456789\r\n abcdefghi\r\n j\r\n"}})
        for (std::size_t piece = 1; piece < 24; ++piece)
            EXPECT_EQ(encoded(row.content, options, piece), row.wire) << piece;
    OutgoingEncoder encoder(options, ContentFacts(11, false));
    encoder.encode("0123456789");
    EXPECT_FALSE(encoder.broke_line());
    encoder.encode("a");
    EXPECT_TRUE(encoder.broke_line());
    EXPECT_FALSE(encoder.is_transparent());
}

TEST(Outgoing, DoesNotFoldWithoutALimit) {
    OutgoingOptions options = chunked();
    options.line_length_max = 0;
    const std::string content = std::string(100000, 'x') + "\r\n";
    EXPECT_EQ(encoded(content, options, 1000), content);
}

TEST(Outgoing, ConvertsFoldsAndStuffsInThisOrder) {
    OutgoingOptions options;
    options.convert_to_7bit = true;
    options.line_length_max = 20;
    EXPECT_EQ(encoded("Content-Transfer-Encoding: 8bit\r\n\r\n.\xe9\r\n", options, 3),
              "Content-Transfer-Enc\r\n oding: quoted-print\r\n able\r\n\r\n..=E9\r\n.\r\n");
}

TEST(Outgoing, ReachesTheServerUnchangedHoweverItIsCut) {
    std::mt19937 random(11);
    const std::vector<std::string> parts = {"\r\n", "\r\n",      ".",        ".",
                                            "a",    "\r\n.\r\n", "long word"};
    for (int round = 0; round < 3000; ++round) {
        std::string content;
        for (unsigned i = random() % 40; i > 0; --i) content += parts[random() % parts.size()];
        content += "\r\n";
        OutgoingOptions options;
        options.line_length_max = random() % 2 == 0 ? 0 : 5 + random() % 10;

        const auto wire = encoded(content, options, 1 + random() % 30);

        const auto arrived = received(wire);
        ASSERT_TRUE(arrived) << content;
        for (std::size_t i = 0; i < wire.size(); ++i) {
            ASSERT_TRUE(wire[i] != '\n' || (i > 0 && wire[i - 1] == '\r'));
            ASSERT_TRUE(wire[i] != '\r' || (i + 1 < wire.size() && wire[i + 1] == '\n'));
        }
        if (options.line_length_max == 0) {
            ASSERT_EQ(*arrived, content);
        } else {
            ASSERT_LE(facts(*arrived).longest_line, options.line_length_max);
            ASSERT_EQ(wire, encoded(content, options, content.size()));
        }
    }
}

TEST(Outgoing, ConversionIsForDeclared8BitMailAndOldServers) {
    EXPECT_TRUE(needs_downgrade(true, false, false, false));
    EXPECT_FALSE(needs_downgrade(false, false, false, false));
    EXPECT_FALSE(needs_downgrade(true, true, false, false));
    EXPECT_FALSE(needs_downgrade(true, false, true, false));
    EXPECT_FALSE(needs_downgrade(true, false, false, true));
}

}  // namespace postrider::message
