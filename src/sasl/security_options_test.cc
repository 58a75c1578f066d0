#include "sasl/security_options.h"

#include <gtest/gtest.h>

namespace postrider::sasl {

TEST(SecurityOptions, AreReadFromAList) {
    auto options = parse_security_options("noplaintext, noanonymous\tmutual_auth");
    ASSERT_TRUE(options);
    EXPECT_TRUE(options->noplaintext && options->noanonymous && options->mutual_auth);
    EXPECT_FALSE(options->noactive || options->nodictionary || options->forward_secrecy);
    EXPECT_FALSE(parse_security_options("")->noplaintext);
    options = parse_security_options("noactive nodictionary forward_secrecy");
    EXPECT_TRUE(options->noactive && options->nodictionary && options->forward_secrecy);
}

TEST(SecurityOptions, UnknownWordIsNamed) {
    auto options = parse_security_options("noanonymous, bogus");
    ASSERT_FALSE(options);
    EXPECT_EQ(options.error().message,
              "unknown SASL security options value \"bogus\" in \"noanonymous, bogus\"");
    EXPECT_EQ(options.error().code, ErrorCode::Invalid);
}

}  // namespace postrider::sasl
