#include "core/secret.h"

#include <concepts>
#include <ostream>
#include <type_traits>
#include <utility>

#include <gtest/gtest.h>

namespace postrider {

template <typename T>
concept Printable = requires(std::ostream& out, const T& value) {
    out << value;
};

static_assert(!Printable<Secret>);
static_assert(!std::is_convertible_v<Secret, std::string>);
static_assert(!std::is_convertible_v<Secret, std::string_view>);
static_assert(!std::equality_comparable<Secret>);

TEST(Secret, KeepsItsTextThroughCopyMoveAndGrowth) {
    Secret first("pass");
    first.append("word");
    Secret copy = first;
    const Secret moved = std::move(first);
    copy.append(std::string(100, 'x'));

    EXPECT_EQ(moved.reveal(), "password");
    EXPECT_EQ(copy.reveal(), "password" + std::string(100, 'x'));
    EXPECT_TRUE(first.empty());  // NOLINT(bugprone-use-after-move)
}

TEST(Secret, WipesWhereItTookTheTextFrom) {
    std::string source = "a password that is longer than a small string";
    const char* const place = source.data();

    const Secret secret = Secret::take(source);

    EXPECT_EQ(secret.reveal(), "a password that is longer than a small string");
    EXPECT_TRUE(source.empty());
    EXPECT_EQ(place[1], '\0');
    EXPECT_EQ(place[10], '\0');
}

TEST(Secret, AppendsAPartOfItself) {
    Secret secret("ab");
    secret.append(secret.reveal());
    secret = *&secret;
    EXPECT_EQ(secret.reveal(), "abab");
}

}  // namespace postrider
