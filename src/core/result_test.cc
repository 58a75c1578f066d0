#include "core/result.h"

#include <cerrno>
#include <memory>

#include <gtest/gtest.h>

namespace postrider {

TEST(Result, HoldsAValueThatCannotBeCopied) {
    Result<std::unique_ptr<int>> result = std::make_unique<int>(7);

    ASSERT_TRUE(result);
    EXPECT_EQ(*std::move(result).value(), 7);
}

TEST(Result, CarriesTheErrorUnchanged) {
    const Result<int> result = Unexpected(system_error("open x", ENOENT));

    ASSERT_FALSE(result);
    EXPECT_EQ(result.error().code, ErrorCode::NotFound);
    EXPECT_EQ(result.error().message, "open x: No such file or directory");
}

TEST(Result, PutsAPhraseInFront) {
    EXPECT_EQ(with_context("read queue", {ErrorCode::Io, "bad block"}).message,
              "read queue: bad block");
}

TEST(ResultDeathTest, StopsWhenAnAbsentValueIsTaken) {
    const Result<int> result = Unexpected(ErrorCode::Io, "none");
    EXPECT_DEATH((void)result.value(), "has_value");
}

}  // namespace postrider
