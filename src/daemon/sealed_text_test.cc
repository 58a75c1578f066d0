#include "daemon/sealed_text.h"

#include <string>

#include <unistd.h>

#include <gtest/gtest.h>

namespace postrider::daemon {
namespace {

TEST(SealedText, IsReadAsOftenAsWantedAndNotChanged) {
    for (const std::string& text :
         {std::string(), std::string("static:a:b"), std::string(200'000, 'x')}) {
        const auto sealed = seal_text(text);
        ASSERT_TRUE(sealed) << sealed.error().message;
        EXPECT_EQ(::write(sealed->get(), "y", 1), -1);
        EXPECT_EQ(::ftruncate(sealed->get(), 1), -1);
        for (int i = 0; i < 2; ++i) {
            const auto read = read_sealed_text(sealed->get());
            ASSERT_TRUE(read) << read.error().message;
            EXPECT_EQ(*read, text);
        }
    }
}

TEST(SealedText, CannotBeReadFromWhereItIsNot) {
    EXPECT_FALSE(read_sealed_text(-1));
}

}  // namespace
}  // namespace postrider::daemon
