#include "core/base64.h"

#include <random>

#include <gtest/gtest.h>

namespace postrider {

TEST(Base64, HasTheVectorsOfTheRfc) {
    struct Row {
        std::string_view plain;
        std::string_view encoded;
    };
    for (const Row& row : {Row{"", ""}, Row{"f", "Zg=="}, Row{"fo", "Zm8="}, Row{"foo", "Zm9v"},
                           Row{"foob", "Zm9vYg=="}, Row{"fooba", "Zm9vYmE="},
                           Row{"foobar", "Zm9vYmFy"}, Row{"\xff\xfe\xfd", "//79"}}) {
        EXPECT_EQ(base64(row.plain), row.encoded);
        EXPECT_EQ(decode_base64(row.encoded), row.plain);
    }
}

TEST(Base64, RefusesWhatIsNotExactlyBase64) {
    for (const std::string_view text : {"Zg", "Zg=", "Zg===", "Z===", "====", "Zm9v\n", "Zm 9",
                                        "Zh==", "Zm9=", "=Zg=", "Zg==Zg==", "Zm9-", "\xc3\xa9xx"})
        EXPECT_FALSE(decode_base64(text)) << text;
}

TEST(Base64, DecodesWhatItEncoded) {
    std::mt19937 random(1);
    for (int round = 0; round < 500; ++round) {
        std::string bytes(random() % 50, '\0');
        for (char& c : bytes) c = static_cast<char>(random());
        EXPECT_EQ(decode_base64(base64(bytes)), bytes);
    }
}

}  // namespace postrider
