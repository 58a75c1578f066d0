#include "config/expand.h"

#include <map>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace postrider::config {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

namespace {

const std::map<std::string_view, std::string_view> kNames = {
    {"host", "mail.example.org"},
    {"alias", "$host"},
    {"empty", ""},
    {"unset_by_name", "$nowhere"},
    {"seven", "7"},
    {"ten", "10"},
    {"loop", "$loop"},
    {"compat", "3.6"},
    {"bad", "${"},
};

std::optional<std::string_view> look_up(std::string_view name) {
    const auto at = kNames.find(name);
    return at == kNames.end() ? std::nullopt : std::optional(at->second);
}

std::string expanded(std::string_view text) {
    auto result = expand(text, look_up);
    return result ? *result : "error: " + result.error().message;
}

}  // namespace

TEST(Expand, ReplacesEachFormOfReference) {
    const std::pair<const char*, const char*> cases[] = {
        {"plain", "plain"},
        {"$host", "mail.example.org"},
        {"${host}", "mail.example.org"},
        {"$(host)", "mail.example.org"},
        {"${ host }", "mail.example.org"},
        {"a$host.b", "amail.example.org.b"},
        {"$alias", "mail.example.org"},
        {"$nowhere", ""},
        {"$$host", "$host"},
        {"100$$", "100$"},
        {"${host?text}", "text"},
        {"${empty?text}", ""},
        {"${nowhere?text}", ""},
        {"${host:text}", ""},
        {"${empty:text}", "text"},
        {"${nowhere:$seven}", "7"},
        {"${host?{a}:{b}}", "a"},
        {"${nowhere?{a}:{b}}", "b"},
        {"${nowhere ? { a } : {b }}", "b "},
        {"${host?{ a }:{b}}", " a "},
        {"${nowhere?{a}:b}", "b"},
        {"${host??foo:{b}ar}", "?foo:{b}ar"},
        {"${stress?{10}:{300}}s", "300s"},
        {"${{$host} == {mail.example.org} ? {yes} : {no}}", "yes"},
        {"${{$host} != {mail.example.org} ? {yes} : {no}}", "no"},
        {"${{$seven} < {$ten}}", "true"},
        {"${{$seven} > {$ten}}", ""},
        {"${{007} == {7} ? {same}}", "same"},
        {"${{7a} < {10a} ? {number} : {text}}", "text"},
        {"${{99999999999999999999999} > {1} ? {big}}", "big"},
        {"${{$compat} <level {3.11} ? {old} : {new}}", "old"},
        {"${{$compat} <level {3.6} ? {old} : {new}}", "new"},
        {"${{3.10} >=level {3.9} ? {new} : {old}}", "new"},
        {"${{9999} <level {3.11} ? {old} : {new}}", "new"},
        {"${domain_to_ascii{$host}}", "mail.example.org"},
    };
    for (const auto& [text, wanted] : cases) EXPECT_EQ(expanded(text), wanted) << text;
}

TEST(Expand, SaysWhatIsMalformed) {
    const std::pair<const char*, const char*> cases[] = {
        {"${host", "truncated macro reference: \"${host\""},
        {"$(host}", "truncated macro reference"},
        {"${}", "empty macro name: \"${}\""},
        {"cost: $ 5", "empty macro name"},
        {"$bad", "truncated macro reference: \"${\""},
        {"${host-name}", "attribute name syntax error at: \"...host>>>-name\""},
        {"${{a} = {b} ? {c}}", "expected at"},
        {"${{a} == b}", "\"{expression}\" expected at"},
        {"${{a} ==size {b}}", "bad operator suffix"},
        {"${{x} <level {3}}", "bad compatibility level: \"x\""},
        {"${host?{a} {b}}", "\":\" expected at"},
        {"${host?{a}:{b} c}", "unexpected input at"},
        {"${reverse{$host}}", "unknown function \"reverse\""},
        {"$loop", "unreasonable macro call nesting: \"$loop\""},
    };
    for (const auto& [text, wanted] : cases) EXPECT_THAT(expanded(text), HasSubstr(wanted)) << text;
}

TEST(Expand, EndsOnValuesThatMultiply) {
    std::map<std::string, std::string, std::less<>> names;
    for (int i = 0; i < 90; ++i) {
        const auto next = "$v" + std::to_string(i + 1);
        names["v" + std::to_string(i)] = next + next;
    }
    const auto find = [&](std::string_view name) -> std::optional<std::string_view> {
        const auto at = names.find(name);
        return at == names.end() ? std::nullopt : std::optional<std::string_view>(at->second);
    };

    const auto result = expand("$v0", find);

    ASSERT_FALSE(result);
    EXPECT_EQ(result.error().code, ErrorCode::Limit);
}

TEST(Expand, EndsOnValuesThatGrow) {
    const std::string large(1000, 'x');
    const auto find = [&](std::string_view) { return std::optional<std::string_view>(large); };
    std::string text;
    for (int i = 0; i < 2000; ++i) text += "$v";

    const auto result = expand(text, find);

    ASSERT_FALSE(result);
    EXPECT_EQ(result.error().code, ErrorCode::Limit);
}

TEST(ReferencedNames, AreFoundInEveryBranch) {
    EXPECT_THAT(referenced_names("$a ${b?{$c}:{$d}} ${{$e} == {f} ? {$g}} ${h:$i}"),
                ElementsAre("a", "b", "c", "d", "e", "g", "h", "i"));
}

TEST(ParseLevel, TakesUpToThreeNumbers) {
    EXPECT_LT(*parse_level("3.6"), *parse_level("3.11"));
    EXPECT_LT(*parse_level("2"), *parse_level("3.6"));
    EXPECT_EQ(*parse_level("3"), *parse_level("3.0.0"));
    for (const auto* text : {"", "x", "3.", ".6", "3.6.1.1", "3.1000", "-1", "3.6 "})
        EXPECT_EQ(parse_level(text), std::nullopt) << text;
}

}  // namespace postrider::config
