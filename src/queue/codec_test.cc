#include "queue/codec.h"

#include <random>

#include <gtest/gtest.h>

#include "queue/frames.h"
#include "queue/testing/samples.h"

namespace postrider::queue {
namespace {

NewMessage sample() {
    NewMessage message = testing::message(0x12345, WallTime(std::chrono::seconds{1795356000}),
                                          {"b@example.com", "\"c d\"@example.net"}, "text\r\n");
    message.envelope.envelope_id = "id";
    message.envelope.smtputf8 = true;
    message.envelope.body = mail::BodyType::EightBitMime;
    message.envelope.recipients[1].notify.delay = true;
    message.envelope.recipients[1].original_recipient = "rfc822;x@example.net";
    message.submitter_uid = -1;
    message.header_length = 3;
    message.longest_line = 998;
    message.held = true;
    message.content_filter = "x:y";
    message.drop = "6123Ap12n0:1000:77";
    return message;
}

std::string encoded(const NewMessage& message) {
    std::string bytes;
    encode(message, bytes);
    return bytes;
}

TEST(Codec, DecodesWhatItEncoded) {
    const NewMessage message = sample();
    const auto decoded = decode(encoded(message), DecodeLimits());
    ASSERT_TRUE(decoded);
    EXPECT_EQ(encoded(*decoded), encoded(message));
    EXPECT_EQ(decoded->ticket.id, message.ticket.id);
    EXPECT_EQ(decoded->submitter_uid, -1);
    EXPECT_EQ(decoded->envelope.recipients[1].address.local_part, "c d");
}

TEST(Codec, RefusesEveryShorterText) {
    const std::string bytes = encoded(sample());
    for (std::size_t length = 0; length < bytes.size(); ++length) {
        EXPECT_FALSE(decode(std::string_view(bytes).substr(0, length), DecodeLimits())) << length;
    }
    EXPECT_FALSE(decode(bytes + "x", DecodeLimits()));
}

TEST(Codec, RefusesWhatMustNotBeStored) {
    const auto refuses = [](auto change) {
        NewMessage message = sample();
        change(message);
        return !decode(encoded(message), DecodeLimits());
    };
    EXPECT_TRUE(refuses([](auto& m) { m.envelope.reverse_path.local_part = "a\r\nDATA"; }));
    EXPECT_TRUE(refuses([](auto& m) { m.envelope.recipients[0].address.domain = "x\n"; }));
    EXPECT_TRUE(refuses([](auto& m) { m.envelope.envelope_id = std::string(1, '\0'); }));
    EXPECT_TRUE(refuses([](auto& m) { m.envelope.recipients.clear(); }));
    EXPECT_TRUE(refuses([](auto& m) { m.envelope.recipients[0].address = mail::Address(); }));
    EXPECT_TRUE(refuses([](auto& m) { m.origin = Origin::Report; }));
    EXPECT_TRUE(refuses([](auto& m) { m.client = std::string(100000, 'x'); }));
    EXPECT_TRUE(refuses([](auto& m) { m.ticket.number = std::uint64_t{1} << 60; }));
    EXPECT_TRUE(refuses([](auto& m) { m.content_length = ~std::uint64_t{0}; }));
    EXPECT_TRUE(refuses([](auto& m) { m.submitter_uid = std::int64_t{1} << 40; }));
}

TEST(Codec, BoundsRecipients) {
    DecodeLimits limits;
    limits.recipients_max = 1;
    EXPECT_FALSE(decode(encoded(sample()), limits));
}

TEST(Codec, WhateverItAcceptsItWouldHaveWritten) {
    const unsigned seed = std::random_device{}();
    SCOPED_TRACE("seed " + std::to_string(seed));
    std::mt19937 random(seed);
    const std::string good = encoded(sample());
    for (int round = 0; round < 20000; ++round) {
        std::string bytes = good;
        for (unsigned change = random() % 4; change < 4; ++change) {
            bytes[random() % bytes.size()] = static_cast<char>(random());
        }
        if (random() % 4 == 0) bytes.resize(random() % bytes.size());
        const auto decoded = decode(bytes, DecodeLimits());
        if (decoded) {
            ASSERT_EQ(encoded(*decoded), bytes);
        }
    }
}

TEST(Frames, AreFoundWhole) {
    std::string bytes;
    append_frame(bytes, FrameType::Piece, 0x123456789a, "content");
    for (std::size_t length = 0; length < bytes.size(); ++length) {
        EXPECT_FALSE(find_frame(std::string_view(bytes).substr(0, length))->has_value());
    }
    bytes += "next";
    const auto frame = **find_frame(bytes);
    EXPECT_EQ(frame.type, FrameType::Piece);
    EXPECT_EQ(frame.number, 0x123456789aU);
    EXPECT_EQ(frame.payload, "content");
}

TEST(Frames, RefuseWhatIsTooLongOrUnknown) {
    EXPECT_FALSE(find_frame(std::string("\xff\xff\xff\xff\x03", 5)));
    EXPECT_FALSE(find_frame(std::string(5, '\0')));
    EXPECT_FALSE(find_frame(std::string("\0\0\0\0\x7f", 5)));
}

}  // namespace
}  // namespace postrider::queue
