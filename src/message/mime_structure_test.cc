#include "message/mime_structure.h"

#include <gtest/gtest.h>

namespace postrider::message {
namespace {

using Block = MimeStructure::Block;

MimeStructure in_body_of(std::string_view content_type) {
    MimeStructure structure(3, 20);
    structure.content_type(content_type);
    structure.headers_end(true);
    return structure;
}

TEST(MimeStructure, FindsBoundariesHoweverTheyAreWritten) {
    const char* types[] = {"multipart/mixed; boundary=bb", "Multipart/Mixed; x=y; BOUNDARY=\"bb\"",
                           "multipart/mixed;\n\tboundary = \"b\\b\"",
                           "multipart (c;) / mixed ; boundary=(c)bb"};
    for (const char* type : types) {
        MimeStructure structure = in_body_of(type);
        EXPECT_EQ(structure.block(), Block::Body);
        EXPECT_FALSE(structure.body_line("--b"));
        EXPECT_TRUE(structure.body_line("--bb  ")) << type;
        EXPECT_EQ(structure.block(), Block::Multipart);
        structure.headers_end(true);
        EXPECT_TRUE(structure.body_line("--bb--"));
        EXPECT_EQ(structure.block(), Block::Body);
        EXPECT_FALSE(structure.body_line("--bb"));
    }
}

TEST(MimeStructure, ReadsHeadersInsideMessages) {
    EXPECT_EQ(in_body_of("message/rfc822").block(), Block::Nested);
    EXPECT_EQ(in_body_of("message/partial").block(), Block::Body);
    MimeStructure digest = in_body_of("multipart/digest; boundary=d");
    ASSERT_TRUE(digest.body_line("--d"));
    digest.headers_end(true);
    EXPECT_EQ(digest.block(), Block::Nested);
    digest.headers_end(false);
    EXPECT_EQ(digest.block(), Block::Body);
}

TEST(MimeStructure, ClosesInnerPartsAtAnOuterBoundary) {
    MimeStructure structure = in_body_of("multipart/mixed; boundary=outer");
    ASSERT_TRUE(structure.body_line("--outer"));
    structure.content_type("multipart/mixed; boundary=inner");
    structure.headers_end(true);
    ASSERT_TRUE(structure.body_line("--outer"));
    structure.headers_end(true);
    EXPECT_FALSE(structure.body_line("--inner"));
}

TEST(MimeStructure, StopsNestingAtItsLimit) {
    MimeStructure structure(3, 20);
    for (int i = 0; i < 10; ++i) structure.content_type("multipart/mixed; boundary=b");
    EXPECT_TRUE(structure.is_too_deep());
    MimeStructure shallow(3, 20);
    for (int i = 0; i < 4; ++i) shallow.content_type("multipart/mixed; boundary=b");
    EXPECT_FALSE(shallow.is_too_deep());
}

TEST(MimeStructure, ComparesTheStartOfALongBoundary) {
    MimeStructure structure = in_body_of("multipart/mixed; boundary=" + std::string(100, 'b'));
    EXPECT_TRUE(structure.body_line("--" + std::string(20, 'b') + "anything"));
}

}  // namespace
}  // namespace postrider::message
