#include "smtp/data_reader.h"

#include <algorithm>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

namespace postrider::smtp {
namespace {

using namespace std::string_literals;

struct Outcome {
    std::string content;
    std::string rest;  ///< What stands behind the end.
    bool ended = false;

    friend bool operator==(const Outcome&, const Outcome&) = default;
};

/// Reads `pieces` one after the other; after the end everything is left alone.
Outcome read(const std::vector<std::string_view>& pieces) {
    DataReader reader;
    Outcome outcome;
    for (std::string_view input : pieces) {
        while (!input.empty() && !reader.at_end()) {
            const auto step = reader.next(input);
            outcome.content += step.content;
            input.remove_prefix(step.consumed);
        }
        outcome.rest += input;
    }
    outcome.ended = reader.at_end();
    return outcome;
}

Outcome read_split(std::string_view all, std::vector<std::size_t> cuts) {
    std::sort(cuts.begin(), cuts.end());
    std::vector<std::string_view> pieces;
    std::size_t begin = 0;
    cuts.push_back(all.size());
    for (const std::size_t cut : cuts) {
        pieces.push_back(all.substr(begin, cut - begin));
        begin = cut;
    }
    return read(pieces);
}

/// Whole, byte by byte, and with one or two cuts at every place.
void expect_however_split(std::string_view input, const Outcome& expected) {
    EXPECT_EQ(read({input}), expected) << "whole";
    std::vector<std::string_view> bytes;
    for (std::size_t i = 0; i < input.size(); ++i) bytes.push_back(input.substr(i, 1));
    EXPECT_EQ(read(bytes), expected) << "byte by byte";
    for (std::size_t a = 0; a <= input.size(); ++a) {
        for (std::size_t b = a; b <= input.size(); ++b) {
            ASSERT_EQ(read_split(input, {a, b}), expected) << "cut at " << a << " and " << b;
        }
    }
}

Outcome ended(std::string content, std::string rest = "") {
    return {std::move(content), std::move(rest), true};
}

TEST(DataReader, EndsAtADotAloneBetweenCrlfs) {
    expect_however_split("a\r\nb\r\n.\r\nQUIT\r\n", ended("a\r\nb\r\n", "QUIT\r\n"));
}

TEST(DataReader, TakesAnImmediateDotForAnEmptyMessage) {
    expect_however_split(".\r\n", ended(""));
}

TEST(DataReader, TakesTheStuffingOffWhereverALineBegins) {
    expect_however_split("..\r\n...a\r\n.b\r\nc.\r\n.\r\n", ended(".\r\n..a\r\nb\r\nc.\r\n"));
    expect_however_split("a\n..b\n\r\n.\r\n", ended("a\n.b\n\r\n"));
}

TEST(DataReader, TakesNothingElseForTheEnd) {
    struct Case {
        std::string look_alike;
        std::string content;
    };
    const std::vector<Case> cases = {
        {"\n.\n", "\n\n"},
        {"\n.\r\n", "\n\r\n"},
        {"\r\n.\n", "\r\n\n"},
        {"\r.\r", "\r.\r"},
        {"\r.\r\n", "\r.\r\n"},
        {"\r\n.\r", "\r\n\r"},
        {"\r\n.\r\r\n", "\r\n\r\r\n"},
        {"\r\n\0.\r\n"s, "\r\n\0.\r\n"s},
        {"\r\n.\0\r\n"s, "\r\n\0\r\n"s},
        {"\n\r.\r\n", "\n\r.\r\n"},
        {"\r\n. \r\n", "\r\n \r\n"},
        {"\r\n..\r\n", "\r\n.\r\n"},
    };
    for (const Case& c : cases) {
        expect_however_split("a" + c.look_alike + "MAIL FROM:<x@y>\r\n.\r\n",
                             ended("a" + c.content + "MAIL FROM:<x@y>\r\n"));
    }
}

// Every mixture of CR, LF, dot, NUL and a letter up to this length, before a true end: the reader
// must agree with a model that looks at all the bytes at once.
TEST(DataReader, AgreesWithTheDefinitionOnAllShortInputs) {
    constexpr std::string_view alphabet("\r\n.x\0", 5);
    const auto model = [](const std::string& input) {
        const std::string all = "\r\n" + input;
        Outcome outcome;
        const std::size_t end = all.find("\r\n.\r\n");
        outcome.ended = end != std::string::npos;
        const std::string content = outcome.ended ? all.substr(2, end) : all.substr(2);
        if (outcome.ended) outcome.rest = all.substr(end + 5);
        for (std::size_t i = 0; i < content.size(); ++i) {
            const bool line_start = i == 0 || content[i - 1] == '\n';
            if (content[i] != '.' || !line_start) outcome.content += content[i];
        }
        return outcome;
    };
    std::vector<std::string> inputs{""};
    for (int length = 0; length < 6; ++length) {
        std::vector<std::string> longer;
        for (const std::string& input : inputs) {
            for (const char c : alphabet) longer.push_back(input + c);
        }
        for (const std::string& input : longer) {
            const std::string all = input + "\r\n.\r\n";
            ASSERT_EQ(read({all}), model(all));
            for (std::size_t cut = 1; cut < all.size(); ++cut)
                ASSERT_EQ(read_split(all, {cut}), model(all));
        }
        inputs = std::move(longer);
    }
}

TEST(DataReader, GivesBackWhatAClientStuffed) {
    std::mt19937 random(7);
    for (int round = 0; round < 200; ++round) {
        std::string content;
        std::string stuffed;
        for (int line = 0; line < 50; ++line) {
            std::string text(random() % 8, '.');
            if (random() % 2 == 0) text += 'a';
            content += text + "\r\n";
            stuffed += (text.starts_with('.') ? "." : "") + text + "\r\n";
        }
        stuffed += ".\r\n";

        EXPECT_EQ(read_split(stuffed, {random() % stuffed.size(), random() % stuffed.size()}),
                  ended(content));
    }
}

}  // namespace
}  // namespace postrider::smtp
