#include "core/result.h"

#include <cerrno>
#include <memory>
#include <utility>

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

// A full disk is answered 452, a lack of descriptors with patience: the kinds must not blur.
TEST(Result, KnowsWhatKindOfErrorTheSystemMeans) {
    const std::pair<int, ErrorCode> cases[] = {
        {ENOTDIR, ErrorCode::NotFound},   {EACCES, ErrorCode::Denied},
        {EROFS, ErrorCode::Denied},       {ENOSPC, ErrorCode::DiskFull},
        {EDQUOT, ErrorCode::DiskFull},    {EFBIG, ErrorCode::DiskFull},
        {ETIMEDOUT, ErrorCode::Timeout},  {ECANCELED, ErrorCode::Cancelled},
        {EPIPE, ErrorCode::Connection},   {ECONNREFUSED, ErrorCode::Connection},
        {EMFILE, ErrorCode::Limit},       {ENOMEM, ErrorCode::Limit},
        {EAGAIN, ErrorCode::Unavailable}, {EIO, ErrorCode::Io},
        {ENAMETOOLONG, ErrorCode::Io},
    };
    for (const auto& [number, code] : cases) {
        EXPECT_EQ(system_error("x", number).code, code) << number;
    }
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
