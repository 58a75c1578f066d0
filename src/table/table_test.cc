#include "table/table.h"

#include <fstream>
#include <random>
#include <string>
#include <vector>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "table/test_directory.h"

namespace postrider::table {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

/// A directory, a log, and the answers of tables as short texts.
class TableTest : public testing::Test {
protected:
    /// The value, `-` for absent, `!` and the message for an error.
    static std::string show(const Answer& answer) {
        if (!answer) return "!" + answer.error().message;
        return answer->has_value() ? **answer : "-";
    }
    std::string find(std::string_view specification, std::string_view key) {
        const auto table = open_table(specification, options, log);
        if (!table) return "!!" + table.error().message;
        return show((*table)->find(key));
    }
    std::string open_error(std::string_view specification) {
        const auto table = open_table(specification, options, log);
        return table ? "opened" : table.error().message;
    }
    /// Writes a file of rules and asks it.
    std::string ask(std::string_view type, std::string_view rules, std::string_view key) {
        return find(std::string(type) + ":" + directory.write("rules", rules), key);
    }
    /// Log lines, with the directory's path taken out.
    std::vector<std::string> lines() {
        std::vector<std::string> result;
        for (std::string line : captured.lines()) {
            const std::string prefix = directory.path("");
            for (std::size_t at; (at = line.find(prefix)) != std::string::npos;)
                line.erase(at, prefix.size());
            result.push_back(line.substr(line.find("warning: ") + 9));
        }
        captured.clear();
        return result;
    }

    TestDirectory directory;
    CapturedLog captured;
    Log log{captured, "test"};
    OpenOptions options;
};

TEST_F(TableTest, NamesWhatIsWrongWithASpecification) {
    EXPECT_EQ(open_error("/etc/aliases"),
              "open dictionary: expecting \"type:name\" form instead of \"/etc/aliases\"");
    EXPECT_EQ(open_error("hash:"),
              "open dictionary: expecting \"type:name\" form instead of \"hash:\"");
    EXPECT_EQ(open_error("gdbm:/x"), "unsupported dictionary type: gdbm");
    EXPECT_EQ(open_error("hash:/nonexistent/f"),
              "open database /nonexistent/f.lmdb: No such file or directory");
    EXPECT_EQ(open_error("texthash:/nonexistent/f"),
              "open database /nonexistent/f: No such file or directory");
    EXPECT_EQ(open_error("regexp:/nonexistent/f"),
              "open /nonexistent/f: No such file or directory");
    EXPECT_EQ(open_error("unionmap:static:a"),
              "bad syntax: \"unionmap:static:a\"; need \"unionmap:{type:name...}\"");
    EXPECT_EQ(open_error("inline:{}"),
              "bad syntax: \"inline:{}\"; need \"inline:{name=value...}\"");
    EXPECT_THAT(open_error("inline:{a}"), HasSubstr("missing '=' after attribute name"));
}

TEST_F(TableTest, InlineTablesTakeBareBracedAndQuotedEntries) {
    const std::string table = "inline:{a=1, {B = two words}, {\"c d\" = 3}, a=4}";

    EXPECT_EQ(find(table, "a"), "4");
    EXPECT_EQ(find(table, "b"), "two words");
    EXPECT_EQ(find(table, "\"C d\""), "3");
    EXPECT_EQ(find(table, "c"), "-");
}

TEST_F(TableTest, StaticAnswersEverything) {
    EXPECT_EQ(find("static:x:y", "anything"), "x:y");
    EXPECT_EQ(find("static:{ a b }", ""), "a b");
}

TEST_F(TableTest, CombinedTablesJoinAndChain) {
    EXPECT_EQ(find("unionmap:{inline:{a=1},static:2,inline:{a=3}}", "a"), "1,2,3");
    EXPECT_EQ(find("unionmap:{inline:{a=1},inline:{b=2}}", "c"), "-");
    EXPECT_EQ(find("unionmap:{inline:{a=1},fail:x}", "a"), "!fail:x always fails");
    EXPECT_EQ(find("pipemap:{inline:{a=b},inline:{b=c}}", "a"), "c");
    EXPECT_EQ(find("pipemap:{inline:{a=b},inline:{x=c}}", "a"), "-");
    const auto turns = open_table("randmap:{1,2}", options, log);
    EXPECT_NE(show((*turns)->find("k")), show((*turns)->find("k")));
    EXPECT_TRUE((*turns)->is_pattern());
}

TEST_F(TableTest, CombinedTablesTakeTheKindOfTheirFirstMember) {
    EXPECT_FALSE((*open_table("pipemap:{static:a,regexp:{{/a/ b}}}", options, log))->is_pattern());
    EXPECT_TRUE((*open_table("unionmap:{cidr:{{::/0 b}},static:a}", options, log))->is_pattern());
}

TEST_F(TableTest, NestingHasALimit) {
    std::string table = "static:x";
    for (int n = 0; n < 10; ++n) table = "unionmap:{" + table + "}";
    EXPECT_EQ(find(table, "k"), "x");

    EXPECT_THAT(open_error("unionmap:{" + table + "}"), HasSubstr("nested deeper than 10"));
}

TEST_F(TableTest, KnowsTheSystemsAccounts) {
    EXPECT_THAT(find("proxy:unix:passwd.byname", "root"), HasSubstr("root:"));
    EXPECT_EQ(find("unix:passwd.byname", "no-such-user"), "-");
    EXPECT_THAT(open_error("unix:shadow.byname"), HasSubstr("unknown table"));
}

struct Rules {
    const char* text;
    const char* key;
    const char* answer;
    std::vector<std::string> warnings;
};

TEST_F(TableTest, RegexpRulesAreReadAsPostfixReadsThem) {
    const std::vector<Rules> cases = {
        {"/a.c/ hit\n", "xABCx", "hit", {}},
        {"/a.c/i hit\n", "ABC", "-", {}},
        {"/a.c/i hit\n", "abc", "hit", {}},
        {"!/a/ hit\n", "b", "hit", {}},
        {"!!/a/ hit\n", "a", "hit", {}},
        {"|a/b| hit\n", "a/b", "hit", {}},
        {"/a\\/b/ hit  \n", "a/b", "hit", {}},
        {"/a/!/b/ hit\n", "ab", "-", {}},
        {"/a/!/b/ hit\n", "ac", "hit", {}},
        {"/a/i!/b/i hit\n", "aB", "hit", {}},
        {"/a.b/ hit\n", "a\nb", "hit", {}},
        {"/a.b/m hit\n", "a\nb", "-", {}},
        {"/^b/ hit\n", "a\nb", "-", {}},
        {"/^b/m hit\n", "a\nb", "hit", {}},
        {"/\\(a\\)/x $1\n", "a", "a", {}},
        {"/(a)(b)?/ $1-${2}-$(1)-$$1\n", "a", "a--a-$1", {}},
        {"/^(.*)@x$/\n  $1@y\n", "u@x", "u@y", {}},
        {"/^Received:\\ (from|by)\\ .*(yourhost|localhost)/ IGNORE\n",
         "Received: from a\n\tby localhost",
         "IGNORE",
         {}},
        {"if /a/\n/b/ in\nendif\n/b/ out\n", "b", "out", {}},
        {"IF !/a/\n/b/ in\nENDIF\n/b/ out\n", "b", "in", {}},
        {"if /a/\nif /b/\n/c/ abc\nendif\n/c/ ac\nendif\n/c/ c\n", "ca", "ac", {}},
        {"if /a/\n/b/ in\n", "b", "-", {"line 1: IF has no matching ENDIF"}},
        {"endif\n/a/ b\n", "a", "b", {"line 1: ignoring ENDIF without matching IF"}},
        {"if /a/\nendif x\n/b/ c\n", "b", "c", {"line 2: ignoring extra text after ENDIF"}},
        {"if /a/\n  /b/ in\nendif\n/z/ y\n",
         "z",
         "y",
         {"line 1: ignoring extra text after IF statement: \"/b/ in\"",
          "line 1: do not prepend whitespace to statements between IF and ENDIF"}},
        {"/a/ $0\n/b/ c\n",
         "b",
         "c",
         {"line 1: out of range replacement index \"0\"",
          "line 1: bad replacement syntax: skipping this rule"}},
        {"/a/ $x\n",
         "a",
         "-",
         {"line 1: non-numeric replacement index \"x\"",
          "line 1: bad replacement syntax: skipping this rule"}},
        {"/(a)/ $2\n",
         "a",
         "-",
         {"line 1: out of range replacement index \"2\": skipping this rule"}},
        {"/(a)/ ${1\n",
         "a",
         "-",
         {"line 1: truncated macro reference: \"${1\"",
          "line 1: bad replacement syntax: skipping this rule"}},
        {"!/(a)/ $1\n",
         "b",
         "-",
         {"line 1: $number found in negative match replacement text: skipping this rule"}},
        {"/a/c hit\n", "a", "-", {"line 1: unknown regexp option \"c\": skipping this rule"}},
        {"/a hit\n", "a", "-", {"line 1: no closing regexp delimiter \"/\": skipping this rule"}},
        {"!\n", "a", "-", {"line 1: no regexp: skipping this rule"}},
        {"a/b/ hit\n", "b", "-", {"line 1: ignoring unrecognized request"}},
        {"/(a/ hit\n/b/ c\n", "b", "c", {"line 1: Unmatched ( or \\("}},
        {"/a/\n", "a", "", {"line 1: no replacement text: using empty string"}},
        {"# c\n\n/a/ hit\r\n", "a", "hit", {}},
    };
    for (const Rules& rules : cases) {
        EXPECT_EQ(ask("regexp", rules.text, rules.key), rules.answer) << rules.text;
        std::vector<std::string> expected;
        for (const auto& warning : rules.warnings)
            expected.push_back("regexp map rules, " + warning);
        EXPECT_EQ(lines(), expected) << rules.text;
    }
}

TEST_F(TableTest, PcreRulesHaveTheirOwnFlagsAndErrors) {
    const std::vector<Rules> cases = {
        {"/^a\\d+(?=b)/ hit\n", "A12b", "hit", {}},
        {"/a.b/ hit\n", "a\nb", "hit", {}},
        {"/a.b/s hit\n", "a\nb", "-", {}},
        {"/^b/m hit\n", "a\nb", "hit", {}},
        {"/a b/x hit\n", "ab", "hit", {}},
        {"/b/A hit\n", "ab", "-", {}},
        {"/a$/ hit\n", "a\n", "hit", {}},
        {"/a$/E hit\n", "a\n", "-", {}},
        {"/(a+)/U $1\n", "aaa", "a", {}},
        {"/(x)|(y)/ [$1$2]\n", "y", "[y]", {}},
        {"/(/ hit\n",
         "a",
         "-",
         {"line 1: error in regex at offset 1: missing closing parenthesis"}},
        {"/a/!/b/ hit\n", "a", "-", {"line 1: unknown regexp option \"!\": skipping this rule"}},
        {"/\xc3\x84/ hit\n", "\xc3\xa4", "hit", {}},
        {"/a/ hit\n", "a\xff", "-", {}},
    };
    for (const Rules& rules : cases) {
        EXPECT_EQ(ask("pcre", rules.text, rules.key), rules.answer) << rules.text;
        std::vector<std::string> expected;
        for (const auto& warning : rules.warnings) expected.push_back("pcre map rules, " + warning);
        EXPECT_EQ(lines(), expected) << rules.text;
    }
}

TEST_F(TableTest, PcreStopsBacktracking) {
    const std::string key = std::string(40, 'a') + "b";

    EXPECT_THAT(ask("pcre", "/x/ y\n/^(a+)+$/ hit\n", key),
                HasSubstr("rules, line 2: backtracking limit exceeded"));
}

TEST_F(TableTest, RegexpStopsAtItsLimitOfSteps) {
    const std::string key = std::string(200, 'a') + "ba";

    EXPECT_THAT(ask("regexp", "/x/ y\n/^(a*)*\\1b$/ hit\n", key),
                HasSubstr("rules, line 2: step limit exceeded; make the pattern simpler"));
}

TEST_F(TableTest, SubstitutionCanBeForbidden) {
    options.substitution = Substitution::Forbidden;

    EXPECT_EQ(ask("regexp", "/(a)/ $1\n/a/ b\n", "a"), "b");
    EXPECT_THAT(lines(), ElementsAre("regexp map rules, line 1: regular expression substitution is "
                                     "not allowed: skipping this rule"));
}

TEST_F(TableTest, PatternTablesHaveAnInlineForm) {
    EXPECT_EQ(find("regexp:{{/^x-(.*):/ REPLACE Y-$1:}, {/b/ c}}", "X-Foo:"), "REPLACE Y-Foo:");
    EXPECT_EQ(find("pcre:{{/a{2}/ hit}}", "aa"), "hit");
    EXPECT_EQ(find("cidr:{{10.0.0.0/8 ten}}", "10.1.2.3"), "ten");
    EXPECT_THAT(open_error("regexp:{/a/ b}"), HasSubstr("no '{' at start of text in \"/a/\""));
}

TEST_F(TableTest, CidrRules) {
    const std::vector<Rules> cases = {
        {"192.0.2.0/24 net\n192.0.2.1 host\n", "192.0.2.1", "net", {}},
        {"192.0.2.1 host\n192.0.2.0/24 net\n", "192.0.2.1", "host", {}},
        {"[2001:db8::]/32 six\n", "2001:DB8::1", "six", {}},
        {"[2001:db8::/32] six\n", "2001:db8::1", "six", {}},
        {"2001:db8::1 six\n", "2001:db8:0:0::1", "six", {}},
        {"!10.0.0.0/8 out\n", "192.0.2.1", "out", {}},
        {"!10.0.0.0/8 out\n", "::1", "-", {}},
        {"0.0.0.0/0 all\n", "::1", "-", {}},
        {"0.0.0.0/0 all\n", "example.com", "-", {}},
        {"if 10.0.0.0/8\n10.1.0.0/16 a\nendif\n0.0.0.0/0 b\n", "10.2.0.1", "b", {}},
        {"if !10.0.0.0/8\n0.0.0.0/0 a\nendif\n0.0.0.0/0 b\n", "10.2.0.1", "b", {}},
        {"1.2.3.4/24 x\n",
         "1.2.3.4",
         "-",
         {"line 1: non-null host address bits in \"1.2.3.4/24\", perhaps you should use "
          "\"1.2.3.0/24\" instead: skipping this rule"}},
        {"1.2.3.0/24\n", "1.2.3.4", "-", {"line 1: no lookup result: skipping this rule"}},
        {"1.2.3/24 x\n",
         "1.2.3.4",
         "-",
         {"line 1: bad network value in \"1.2.3/24\": skipping this rule"}},
        {"1.2.3.0/33 x\n",
         "1.2.3.4",
         "-",
         {"line 1: bad mask length in \"1.2.3.0/33\": skipping this rule"}},
        {"1.2.3.0/x x\n",
         "1.2.3.4",
         "-",
         {"line 1: bad mask value in \"1.2.3.0/x\": skipping this rule"}},
        {"foo x\n", "1.2.3.4", "-", {"line 1: bad address pattern: \"foo\": skipping this rule"}},
        {"[::1 x\n",
         "::1",
         "-",
         {"line 1: missing ']' character after \"[::1\": skipping this rule"}},
        {"endif\n", "::1", "-", {"line 1: ENDIF without IF: skipping this rule"}},
    };
    for (const Rules& rules : cases) {
        EXPECT_EQ(ask("cidr", rules.text, rules.key), rules.answer) << rules.text;
        std::vector<std::string> expected;
        for (const auto& warning : rules.warnings) expected.push_back("cidr map rules, " + warning);
        EXPECT_EQ(lines(), expected) << rules.text;
    }
}

TEST_F(TableTest, TexthashReadsMapSyntax) {
    options.duplicates = Duplicates::Warn;
    const std::string text =
        "# comment\n"
        "Key  Some Value \r\n"
        "\n"
        "multi one\r\n"
        "# inside\n"
        "  two\n"
        "\"a b\"@x  quoted\n"
        "back\\ slash  y\n"
        "lonely\n"
        "\"open x\n"
        "alias: root\n"
        "key again\n"
        "caf\xe9 latin\n";

    EXPECT_EQ(ask("texthash", text, "kEY"), "Some Value");
    EXPECT_THAT(
        lines(),
        ElementsAre("rules, line 9: expected format: key whitespace value -- ignoring this line",
                    "rules, line 10: unbalanced '\"' in '\"open x' -- ignoring this line",
                    "rules, line 11: record is in \"key: value\" format; is this an alias file?",
                    "rules, line 12: duplicate entry: \"key\"",
                    "rules, line 13: non-UTF-8 input \"caf? latin\" -- ignoring this line"));
    EXPECT_EQ(ask("texthash", text, "multi"), "one  two");
    EXPECT_EQ(ask("texthash", text, "\"A B\"@x"), "quoted");
    EXPECT_EQ(ask("texthash", text, "back\\ slash"), "y");
    EXPECT_EQ(ask("texthash", text, "alias:"), "root");
    EXPECT_EQ(ask("texthash", text, "caf\xe9"), "-");
}

TEST_F(TableTest, TexthashRefusesDuplicatesUnlessTold) {
    EXPECT_THAT(ask("texthash", "a 1\nA 2\n", "a"), HasSubstr("line 2: duplicate entry: \"A\""));
    options.duplicates = Duplicates::Replace;
    EXPECT_EQ(ask("texthash", "a 1\nA 2\n", "a"), "2");
}

/// Not root, who may read everything, while it lives.
class AsNobody {
public:
    AsNobody() : was_root_(::geteuid() == 0 && ::seteuid(65534) == 0) {}
    ~AsNobody() {
        if (was_root_ && ::seteuid(0) != 0) std::abort();
    }

private:
    bool was_root_;
};

TEST_F(TableTest, TheOpenerReadsWhatThisAccountMayNot) {
    const std::string path = directory.write("secret", "key value\n");
    const UniqueFd kept(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    ::chmod(path.c_str(), 0);
    const AsNobody nobody;
    EXPECT_THAT(open_error("texthash:" + path), HasSubstr("Permission denied"));

    std::vector<std::string> asked;
    options.opener = [&](const std::string& file) -> Result<UniqueFd> {
        asked.push_back(file);
        return UniqueFd(::fcntl(kept.get(), F_DUPFD_CLOEXEC, 0));
    };
    EXPECT_EQ(find("texthash:" + path, "key"), "value");
    ::lseek(kept.get(), 0, SEEK_SET);
    // Its index could not be used by a descriptor; the text says the same.
    EXPECT_EQ(find("hash:" + path, "key"), "value");
    EXPECT_THAT(asked, ElementsAre(path, path));

    options.opener = [](const std::string& file) -> Result<UniqueFd> {
        return Unexpected(ErrorCode::Denied, "open " + file + ": main.cf names no such table");
    };
    EXPECT_THAT(open_error("texthash:" + path), HasSubstr("names no such table"));
}

TEST_F(TableTest, SourcesWithOddShapes) {
    EXPECT_EQ(ask("texthash", " leading white\na 1\n", "a"), "1");
    EXPECT_THAT(
        lines(),
        ElementsAre("rules: logical line must not start with whitespace: \" leading white\""));
    EXPECT_EQ(ask("texthash", std::string("a 1\0x\nb 2", 9), "a"), "1");
    EXPECT_THAT(lines(), ElementsAre("rules, line 1: text after null byte may be ignored"));
    EXPECT_EQ(ask("texthash", "a 1", "a"), "1");
    EXPECT_EQ(ask("texthash", "", "a"), "-");
    EXPECT_EQ(ask("texthash", "k " + std::string(1'000'000, 'v') + "\n", "k").size(), 1'000'000u);
}

TEST_F(TableTest, KeysFoldBeyondAsciiOnlyInUtf8) {
    EXPECT_EQ(ask("texthash", "\xc3\x84@x 1\n", "\xc3\xa4@X"), "1");
    options.utf8 = false;
    EXPECT_EQ(ask("texthash", "\xc3\x84@x 1\n", "\xc3\xa4@X"), "-");
    EXPECT_EQ(ask("texthash", "\xe4@x 1\n", "\xe4@X"), "1");
}

TEST_F(TableTest, ListsStopAtTheFirstHitAndAtTheFirstError) {
    const auto tables =
        Tables::open("virtual_alias_maps", "inline:{a=1}, inline:{a=2,b=3} fail:x", options, log);

    EXPECT_EQ(show(tables.find("a")), "1");
    EXPECT_EQ(show(tables.find("b")), "3");
    EXPECT_EQ(show(tables.find("")), "-");
    EXPECT_EQ(show(tables.find("c")), "!fail:x always fails");
    EXPECT_THAT(lines(), ElementsAre("fail:x always fails", "fail:x lookup error for \"c\""));
}

TEST_F(TableTest, EmptyResultsAreErrors) {
    const auto tables = Tables::open("header_checks", "inline:{a=}", options, log);

    EXPECT_FALSE(tables.find("a"));
    EXPECT_THAT(lines(), ElementsAre("header_checks lookup of a returns an empty string result",
                                     "header_checks should return NO RESULT in case of NOT FOUND"));
}

TEST_F(TableTest, WhatCannotBeOpenedIsToldAtOnceAndFailsAtEachLookup) {
    const auto tables = Tables::open("canonical_maps", "hash:/nonexistent/f", options, log);
    EXPECT_THAT(lines(), ElementsAre("hash:/nonexistent/f is unavailable. open database "
                                     "/nonexistent/f.lmdb: No such file or directory"));

    EXPECT_FALSE(tables.find("a"));
    EXPECT_THAT(lines(), ElementsAre("hash:/nonexistent/f is unavailable. open database "
                                     "/nonexistent/f.lmdb: No such file or directory",
                                     "hash:/nonexistent/f lookup error for \"a\""));
    EXPECT_EQ(tables.concerns().size(), 1u);
}

TEST_F(TableTest, PartsSkipPatternTables) {
    const auto tables = Tables::open("p", "regexp:{{/./ pattern}} inline:{a=fixed}", options, log);

    EXPECT_EQ(show(tables.find("a")), "pattern");
    EXPECT_EQ(show(tables.find_part("a")), "fixed");
    EXPECT_EQ(show(tables.find_part("b")), "-");
}

/// Bytes that parsers care about, and some that they do not.
std::string noise(std::mt19937& random, std::size_t length_max) {
    constexpr std::string_view kAlphabet =
        "/!|\\$()[]^*+?.,:;\"'#@ \t\r\n\n\nab01iIfFeEnNdDmxsAEUX=<>-_%{}\xc3\xa4\xff";
    std::string text(random() % length_max, '\0');
    for (char& c : text) {
        c = random() % 50 == 0 ? static_cast<char>(random())
                               : kAlphabet[random() % kAlphabet.size()];
    }
    return text;
}

TEST_F(TableTest, NoTextBreaksAParser) {
    std::mt19937 random(20261122);
    for (int round = 0; round < 1500; ++round) {
        std::string text = noise(random, 300);
        if (round % 2 == 0) text = "/" + text + "/ $1 x\nif /a/\n" + text;
        const std::string key = noise(random, 60);
        for (const char* type : {"regexp", "pcre", "cidr", "texthash"}) ask(type, text, key);
        find("inline:{" + text + "}", key);
        find("regexp:{" + text + "}", key);
        show(Tables::open("p", text, options, log).find("k"));
        captured.clear();
    }
}

}  // namespace
}  // namespace postrider::table
