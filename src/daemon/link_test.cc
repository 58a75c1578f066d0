#include "daemon/link.h"

#include <unistd.h>

#include <gtest/gtest.h>

namespace postrider::daemon {

TEST(Link, CarriesANoteWithItsDescriptor) {
    auto ends = make_link();
    ASSERT_TRUE(ends);
    int pipe_ends[2];
    ASSERT_EQ(::pipe(pipe_ends), 0);
    const UniqueFd writer(pipe_ends[1]);

    ASSERT_TRUE(send_note(ends->first.get(),
                          Note(Note::Kind::Drop, 1000, "17.abc", UniqueFd(pipe_ends[0]))));
    auto note = receive_note(ends->second.get());

    ASSERT_TRUE(note && *note);
    EXPECT_EQ((*note)->kind, Note::Kind::Drop);
    EXPECT_EQ((*note)->number, 1000);
    EXPECT_EQ((*note)->text, "17.abc");
    ASSERT_EQ(::write(writer.get(), "x", 1), 1);
    char byte = 0;
    EXPECT_EQ(::read((*note)->fd.get(), &byte, 1), 1);
}

TEST(Link, SaysWhenNothingIsThereAndWhenTheOtherSideHasGone) {
    auto ends = make_link();
    ASSERT_TRUE(ends);

    auto nothing = receive_note(ends->second.get());
    ASSERT_TRUE(nothing);
    EXPECT_FALSE(nothing->has_value());

    ends->first.reset();
    EXPECT_FALSE(receive_note(ends->second.get()));
}

TEST(Link, RefusesGarbage) {
    auto ends = make_link();
    ASSERT_TRUE(ends);
    ASSERT_EQ(::write(ends->first.get(), "zz", 2), 2);

    auto note = receive_note(ends->second.get());

    ASSERT_FALSE(note);
    EXPECT_EQ(note.error().code, ErrorCode::Protocol);
}

}  // namespace postrider::daemon
