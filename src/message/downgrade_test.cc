#include "message/downgrade.h"

#include <random>

#include <gtest/gtest.h>

namespace postrider::message {

namespace {

/// Tests are written with `\n`; the content has CRLF.
std::string crlf(std::string_view text) {
    std::string out;
    for (const char c : text) {
        if (c == '\n') out += '\r';
        out += c;
    }
    return out;
}

std::string converted(std::string_view content, std::size_t piece = 100000) {
    EightBitDowngrade downgrade;
    std::string out;
    while (!content.empty()) {
        downgrade.write(content.substr(0, piece), out);
        content.remove_prefix(std::min(piece, content.size()));
    }
    downgrade.finish(out);
    return out;
}

struct Row {
    std::string_view name;
    std::string_view before;
    std::string_view after;
};

constexpr Row kRows[] = {
    {"text, the field moves to the end",
     "Content-Transfer-Encoding: 8bit\nSubject: x\n\ncaf\xc3\xa9 = 1\ntrailing \n\t\n",
     "Subject: x\nContent-Transfer-Encoding: quoted-printable\n\n"
     "caf=C3=A9 =3D 1\ntrailing=20\n=09\n"},
    {"no label, no conversion", "Subject: x\n\ncaf\xc3\xa9\n", "Subject: x\n\ncaf\xc3\xa9\n"},
    {"another label stays where it is",
     "Content-Transfer-Encoding: 7bit (really)\nSubject: x\n\n\xc3\xa9\n",
     "Content-Transfer-Encoding: 7bit (really)\nSubject: x\n\n\xc3\xa9\n"},
    {"label with a comment, folded, in another case",
     "content-transfer-ENCODING : (a\n (b) comment)\n BINARY\nX: y\n\n\xff\n",
     "X: y\nContent-Transfer-Encoding: quoted-printable\n\n=FF\n"},
    {"multipart: the container is relabelled, each part decides for itself",
     "Content-Type: multipart/mixed;\n boundary=\"b 1\"\nContent-Transfer-Encoding: 8bit\n\n"
     "prolog \xe9\n--b 1\nContent-Transfer-Encoding: 8bit\n\n\xe9\n"
     "--b 1\nContent-Type: text/plain\n\n\xe9\n"
     "--b 1\nContent-Transfer-Encoding: base64\n\n6Q==\n--b 1--\nepilog =\n",
     "Content-Type: multipart/mixed;\n boundary=\"b 1\"\nContent-Transfer-Encoding: 7bit\n\n"
     "prolog \xe9\n--b 1\nContent-Transfer-Encoding: quoted-printable\n\n=E9\n"
     "--b 1\nContent-Type: text/plain\n\n\xe9\n"
     "--b 1\nContent-Transfer-Encoding: base64\n\n6Q==\n--b 1--\nepilog =\n"},
    {"nested multipart, inner end missing",
     "Content-Type: multipart/mixed; boundary=out\n\n--out\n"
     "Content-Type: multipart/alternative; boundary=in\nContent-Transfer-Encoding: 8bit\n\n"
     "--in\nContent-Transfer-Encoding: 8bit\n\n\xe9\n--out\nContent-Transfer-Encoding: 8bit\n\n=\n"
     "--out--\n",
     "Content-Type: multipart/mixed; boundary=out\n\n--out\n"
     "Content-Type: multipart/alternative; boundary=in\nContent-Transfer-Encoding: 7bit\n\n"
     "--in\nContent-Transfer-Encoding: quoted-printable\n\n=E9\n--out\n"
     "Content-Transfer-Encoding: quoted-printable\n\n=3D\n--out--\n"},
    {"message/rfc822 is a container",
     "Content-Type: message/rfc822\nContent-Transfer-Encoding: 8bit\n\n"
     "Subject: in\nContent-Transfer-Encoding: 8bit\n\n\xe9\n",
     "Content-Type: message/rfc822\nContent-Transfer-Encoding: 7bit\n\n"
     "Subject: in\nContent-Transfer-Encoding: quoted-printable\n\n=E9\n"},
    {"multipart/digest has messages in it",
     "Content-Type: multipart/digest; boundary=b\n\n--b\n\nSubject: in\n"
     "Content-Transfer-Encoding: 8bit\n\n\xe9\n--b--\n",
     "Content-Type: multipart/digest; boundary=b\n\n--b\n\nSubject: in\n"
     "Content-Transfer-Encoding: quoted-printable\n\n=E9\n--b--\n"},
    {"header section without end", "Content-Transfer-Encoding: 8bit\n",
     "Content-Transfer-Encoding: quoted-printable\n"},
    {"body follows the header without an empty line",
     "Content-Transfer-Encoding: 8bit\nno field \xe9\n",
     "Content-Transfer-Encoding: quoted-printable\n\nno field =E9\n"},
};

/// RFC 2045 6.7, for the round trip.
std::string unquoted(std::string_view text) {
    std::string out;
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (text[i] != '=') {
            out += text[i];
        } else if (text.substr(i, 3) == "=\r\n") {
            i += 2;
        } else {
            out += static_cast<char>(std::stoi(std::string(text.substr(i + 1, 2)), nullptr, 16));
            i += 2;
        }
    }
    return out;
}

}  // namespace

TEST(Downgrade, ConvertsWhatIsLabelled) {
    for (const Row& row : kRows)
        EXPECT_EQ(converted(crlf(row.before)), crlf(row.after)) << row.name;
}

TEST(Downgrade, DoesNotDependOnWhereTheContentIsCut) {
    for (const Row& row : kRows)
        for (const std::size_t piece : {1U, 2U, 3U, 5U, 17U})
            EXPECT_EQ(converted(crlf(row.before), piece), crlf(row.after)) << row.name << piece;
}

TEST(Downgrade, BreaksLongLinesSoftly) {
    const auto out =
        converted(crlf("Content-Transfer-Encoding: 8bit\n\n" + std::string(74, 'x') + "\xe9\n"));
    EXPECT_EQ(out, crlf("Content-Transfer-Encoding: quoted-printable\n\n" + std::string(73, 'x') +
                        "=\nx=E9\n"));
}

TEST(Downgrade, AnyTextSurvivesTheRoundTrip) {
    std::mt19937 random(5);
    const std::string head = "Content-Transfer-Encoding: 8bit\r\n\r\n";
    const std::string new_head = "Content-Transfer-Encoding: quoted-printable\r\n\r\n";
    for (int round = 0; round < 500; ++round) {
        std::string body;
        for (unsigned i = random() % 400; i > 0; --i) {
            const char c = static_cast<char>(random());
            body += random() % 10 == 0  ? "\r\n"
                    : random() % 4 == 0 ? " "
                                        : std::string(1, c == '\r' || c == '\n' ? 'x' : c);
        }
        if (round % 50 == 0) body += std::string(10000, random() % 2 ? '\xe9' : ' ');
        body += "\r\n";

        const auto out = converted(head + body, 1 + random() % 3000);

        ASSERT_TRUE(out.starts_with(new_head));
        const auto quoted = out.substr(new_head.size());
        ASSERT_EQ(unquoted(quoted), body);
        std::size_t column = 0;
        for (const char c : quoted) {
            ASSERT_LT(static_cast<unsigned char>(c), 0x7f);
            column = c == '\n' ? 0 : column + 1;
            ASSERT_LE(column, 78U);
        }
        ASSERT_EQ(quoted.find(" \r\n"), std::string::npos);
        ASSERT_EQ(quoted.find("\t\r\n"), std::string::npos);
    }
}

TEST(Downgrade, IsBoundedAndHarmlessOnNoise) {
    std::mt19937 random(9);
    const std::vector<std::string> words = {"Content-Type: multipart/mixed; boundary=b\r\n",
                                            "Content-Transfer-Encoding: 8bit\r\n",
                                            "Content-Type: message/rfc822\r\n",
                                            "--b\r\n",
                                            "--b--\r\n",
                                            "\r\n",
                                            "\xe9\r\n",
                                            " folded\r\n",
                                            std::string(5000, 'z'),
                                            "Content-Type: multipart/digest; boundary=\"c\"\r\n",
                                            "--c\r\n"};
    for (int round = 0; round < 2000; ++round) {
        std::string content;
        for (unsigned i = random() % 30; i > 0; --i) content += words[random() % words.size()];
        content += "\r\n";
        const auto whole = converted(content);
        ASSERT_EQ(converted(content, 1 + random() % 50), whole);
        ASSERT_TRUE(whole.ends_with("\r\n"));
    }
}

TEST(Downgrade, AnEndlessEncodingFieldStays) {
    const auto content =
        crlf("Content-Transfer-Encoding: " + std::string(100000, 'x') + "\nA: b\n\nbody\n");
    EXPECT_EQ(converted(content, 999), content);
}

}  // namespace postrider::message
