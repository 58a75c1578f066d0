#include "table/posix_matcher.h"

#include <memory>
#include <random>
#include <string>
#include <vector>

#include <regex.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace postrider::table {
namespace {

using testing::HasSubstr;

/// As in a table: `imx` toggle; patterns are extended and ignore case.
PosixFlags flags_of(std::string_view letters) {
    PosixFlags flags;
    for (const char letter : letters) {
        if (letter == 'i') flags.ignore_case = !flags.ignore_case;
        if (letter == 'm') flags.by_lines = !flags.by_lines;
        if (letter == 'x') flags.extended = !flags.extended;
    }
    return flags;
}

/// `-`, or what the groups took, as `[a][]`.
std::string ours(std::string_view pattern, std::string_view letters, std::string_view subject,
                 std::size_t steps_max = PosixMatcher::kStepsMax) {
    auto program = read_posix_pattern(pattern, flags_of(letters));
    if (!program) return "!!" + program.error().message;
    const PosixMatcher matcher(std::move(*program), steps_max);
    Captures captures;
    const auto plain = matcher.match(subject, nullptr);
    const auto matched = matcher.match(subject, &captures);
    if (!plain) return "!" + plain.error().message;
    if (!matched) return "!" + matched.error().message;
    EXPECT_EQ(*plain, *matched) << pattern;
    if (!*matched) return "-";
    std::string groups;
    for (std::size_t i = 1; i < captures.size(); ++i) {
        groups.append("[").append(captures[i]).append("]");
    }
    return groups;
}

/// The same by the C library; nothing for a pattern that it does not take.
std::optional<std::string> library(const std::string& pattern, std::string_view letters,
                                   std::string_view subject) {
    const PosixFlags flags = flags_of(letters);
    regex_t compiled;
    const int options = (flags.extended ? REG_EXTENDED : 0) | (flags.ignore_case ? REG_ICASE : 0) |
                        (flags.by_lines ? REG_NEWLINE : 0);
    if (::regcomp(&compiled, pattern.c_str(), options) != 0) return std::nullopt;
    std::vector<regmatch_t> groups(compiled.re_nsub + 1);
    groups[0].rm_so = 0;
    groups[0].rm_eo = static_cast<regoff_t>(subject.size());
    const bool matched =
        ::regexec(&compiled, subject.data(), groups.size(), groups.data(), REG_STARTEND) == 0;
    ::regfree(&compiled);
    if (!matched) return "-";
    std::string taken;
    for (std::size_t i = 1; i < groups.size(); ++i) {
        const auto start = static_cast<std::size_t>(groups[i].rm_so);
        const auto end = static_cast<std::size_t>(groups[i].rm_eo);
        taken += "[" +
                 (groups[i].rm_so < 0 ? "" : std::string(subject.substr(start, end - start))) + "]";
    }
    return taken;
}

TEST(PosixMatcher, MatchesWhatTheCLibraryMatches) {
    // What guides and manuals write, and each piece of the language.
    const std::vector<std::pair<std::string, std::string>> patterns = {
        {"^(.*)@localdomain$", ""},
        {"^(.*)@([^.]+)\\.example\\.(com|org)$", ""},
        {".+", ""},
        {"^Received:[[:space:]].*", ""},
        {"^Received: \\(from|by\\) .*", "x"},
        {"^(From:.*)[[:space:]]<([^>]*)>$", ""},
        {"^Subject: *(\\[[^]]*\\])? *(.*)$", ""},
        {"^X-(Mailer|Originating-IP|PHP-.*):", ""},
        {"^User-Agent:|^X-Mailer:", ""},
        {"name=\"?(.*)\\.(bat|com|exe|pif|scr|vbs?)\"?$", ""},
        {"^Content-(Disposition|Type).*name[[:space:]]*=[[:space:]]*\"?(.*\\.(exe|js))\"?", ""},
        {"^[[:alnum:]+/]{20,}={0,2}$", ""},
        {"\\<viagra\\>", ""},
        {"\\bnow\\b|\\Bx", ""},
        {"^To:.*(,.*){3,}$", ""},
        {"^(a|ab)(c|bcd)(d*)$", ""},
        {"(foo|foobar)(.*)", ""},
        {"(a*)(a|aa)b", ""},
        {"(a+)+$", ""},
        {"((a)|b)*", ""},
        {"(a?)*b", ""},
        {"(a{2}){1,2}", ""},
        {"a{,2}b", ""},
        {"a{0}b", ""},
        {"x*", ""},
        {"", ""},
        {"()", ""},
        {"(|a)b", ""},
        {"a|", ""},
        {"[]x]+", ""},
        {"[^]x]", ""},
        {"[a-]", ""},
        {"[--/]", ""},
        {"[\\.]", ""},
        {"[[:upper:]]", ""},
        {"[[:upper:]]", "i"},
        {"[^[:lower:]]", "i"},
        {"[[.-.]]", ""},
        {"[[=a=]-]", ""},
        {"[A-z]", "i"},
        {"a.b", ""},
        {"a.b", "m"},
        {"^b", ""},
        {"^b", "m"},
        {"a$", "m"},
        {"[^a]b", "m"},
        {"\\Wb", "m"},
        {"\\`b", "m"},
        {"a\\'", "m"},
        {"\\w+\\W+\\w+", ""},
        {"\\S+@\\S+", ""},
        {"a)b", ""},
        {"a}b", ""},
        {"\\(a\\)\\{2\\}", "x"},
        {"a\\+b\\?", "x"},
        {"*a", "x"},
        {"\\(*a\\)", "x"},
        {"a^b$c", "x"},
        {"\\(^a\\|b$\\)", "x"},
        {"^*a", "x"},
        {"a|b", "x"},
        {"a\\|b", "x"},
        {"\\q", ""},
        {"\\q", "i"},
        {"(.)\\1", ""},
        {"^(.*)\\1$", ""},
        {"(a)(b)\\2\\1", ""},
        {"(a|b)*\\1", "i"},
        {"\\(.\\)\\1", "xi"},
        {"a++", ""},
        {"a**", ""},
        {"(a*)+", ""},
        {"(^|,)b", ""},
        {"(b|^)a", ""},
        {"\\/etc", ""},
    };
    const std::vector<std::string> subjects = {
        "",
        "a",
        "b",
        "x",
        "A",
        "aa",
        "aab",
        "aaab",
        "ab",
        "abcd",
        "ba",
        "aabaab",
        "abba",
        "abab",
        "AaBb",
        "a\nb",
        "b\na",
        "\n",
        "a)b",
        "a}b",
        "*a",
        "^*a",
        "a^b$c",
        "-",
        "]",
        "[",
        ".",
        "\\",
        "q",
        "Q",
        "_",
        "a b",
        "x now y",
        "buy viagra now",
        "viagras",
        "u@localdomain",
        "u@desk.example.org",
        "Received: from a\n\tby localhost",
        "Received: by x",
        "From: Ann <ann@desk.example>",
        "Subject: [list] hello",
        "Subject:",
        "X-PHP-Originating-Script: 33:x.php",
        "User-Agent: mutt",
        "Content-Type: application/x; name=\"a.b.exe\"",
        "Content-Disposition: attachment; filename=run.js",
        "QUJDREVGR0hJSktMTU5PUFFSU1RVVg==",
        "To: a@b, c@d, e@f, g@h",
        "To: a@b, c@d",
        "foobarbaz",
        "a,b,b",
        "/etc/passwd",
        "caf\xc3\xa9",
        std::string("a\0b", 3),
        "aaaaaaaaaaaaaaaaaaaaaaaaaaab",
    };
    for (const auto& [pattern, letters] : patterns) {
        for (const auto& subject : subjects) {
            const auto expected = library(pattern, letters, subject);
            ASSERT_TRUE(expected) << pattern;
            EXPECT_EQ(ours(pattern, letters, subject), *expected)
                << "/" << pattern << "/" << letters << " of " << subject;
        }
    }
}

/// Patterns by chance. Not among them is where the C library errs: text that goes on behind `$` or
/// comes before `^`, and groups that are repeated and may be empty, with some of which it never
/// ends.
class Chance {
public:
    explicit Chance(unsigned seed) : random_(seed) {}

    std::string pattern(int depth, bool extended) {
        const std::string open = extended ? "(" : "\\(";
        const std::string close = extended ? ")" : "\\)";
        std::string text;
        for (int parts = 1 + below(3); parts > 0; --parts) {
            if (depth > 0 && below(3) == 0) {
                text +=
                    open + one_of({"", "a", "[ab]", "."}) + pattern(depth - 1, extended) + close;
                continue;
            }
            text += one_of({"a", "b", "A", "_", "x", " ", "\n", ",", ".", "[ab]", "[^a]", "[a-c]",
                            "[[:alpha:]]", "[]x]", "[^]a]", "[^[:lower:]]", "\\w", "\\S", "\\-"});
            const std::string mark = extended ? "" : "\\";
            if (below(3) == 0)
                text += one_of({"*", mark + "+", mark + "?", mark + "{2" + mark + "}"});
        }
        if (below(6) == 0) text += (extended ? "|" : "\\|") + pattern(depth - 1, extended);
        return text;
    }
    std::string subject() {
        std::string text;
        for (int length = below(9); length > 0; --length) text += "aabbABx_ \n-,"[below(12)];
        return text;
    }
    int below(int bound) { return static_cast<int>(random_() % static_cast<unsigned>(bound)); }

private:
    std::string one_of(const std::vector<std::string>& texts) {
        return texts[static_cast<std::size_t>(below(static_cast<int>(texts.size())))];
    }
    std::mt19937 random_;
};

TEST(PosixMatcher, MatchesWhatTheCLibraryMatchesInPatternsByChance) {
    Chance chance(1);
    int hits = 0;
    for (int i = 0; i < 1000; ++i) {
        const bool extended = chance.below(4) != 0;
        std::string pattern = chance.pattern(3, extended);
        if (chance.below(4) == 0) pattern = "^" + pattern;
        if (chance.below(4) == 0) pattern += "$";
        const std::string letters = std::string(chance.below(2) ? "i" : "") +
                                    (chance.below(3) ? "" : "m") + (extended ? "" : "x");
        for (int j = 0; j < 4; ++j) {
            const std::string subject = chance.subject();
            const auto expected = library(pattern, letters, subject);
            if (!expected) continue;
            hits += *expected != "-";
            ASSERT_EQ(ours(pattern, letters, subject), *expected)
                << "/" << pattern << "/" << letters << " of {" << subject << "}";
        }
    }
    EXPECT_GT(hits, 500);
}

TEST(PosixMatcher, WhatIsHardForOthersIsNot) {
    // The C library takes the square of the length for each of these, and for some memory, too.
    const std::string line = std::string(20'000 - 1, 'a') + "!";
    std::string noise;
    std::mt19937 random(1);
    while (noise.size() < line.size()) noise += random() % 2 ? 'a' : 'b';
    const auto takes = [](std::string_view pattern, std::string_view subject) {
        return ours(pattern, "", subject, 100 * subject.size());
    };
    EXPECT_EQ(takes("(a|aa)+$", line), "-");
    EXPECT_EQ(takes("(.*)(.*)(.*)x", line), "-");
    EXPECT_EQ(takes("(a*)*(a*)*b", line), "-");
    EXPECT_EQ(takes("^.*a.{25}c", noise), "-");
    EXPECT_EQ(takes("a.{25}c", noise), "-");
    EXPECT_EQ(takes("^(.*)a(.*)!$", line), "[" + line.substr(0, line.size() - 2) + "][]");
}

TEST(PosixMatcher, GivesUpAtItsLimits) {
    constexpr std::size_t kSteps = 500'000;
    const std::string line = std::string(2000, 'a') + "ba";
    EXPECT_THAT(ours("(a*)(a*)\\1\\2b$", "", line, kSteps), HasSubstr("step limit exceeded"));
    EXPECT_THAT(ours("^(a*)*\\1b$", "", line, kSteps), HasSubstr("step limit exceeded"));
    EXPECT_THAT(ours("(.{1,50}){1,50}b", "", line, kSteps), HasSubstr("step limit exceeded"));
    EXPECT_THAT(ours("(.{1,50}){1,50}()$", "", line, kSteps), HasSubstr("step limit exceeded"));
    EXPECT_THAT(ours("((a{1,255}){1,255}){1,255}", "", ""), HasSubstr("too long"));
    EXPECT_THAT(ours(std::string(100'000, '('), "", ""), HasSubstr("nested too deeply"));
}

TEST(PosixMatcher, LoopsOfNothingComeToAnEnd) {
    // The C library does not come to one with the last of these.
    EXPECT_EQ(ours("(a*)*\\1b", "", "b"), "[]");
    EXPECT_EQ(ours("((a*)*|b)*c", "", "abac"), "[a][a]");
    EXPECT_EQ(ours("(((a|)*)*)*\\1!", "", "aa"), "-");
}

}  // namespace
}  // namespace postrider::table
