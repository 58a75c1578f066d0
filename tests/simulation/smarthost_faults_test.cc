// What a smarthost does to us, moment by moment: late, silent, cut at each byte, never the same.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "directed_smarthost.h"

namespace postrider::simulation {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;
using Then = Answer::Then;

constexpr std::string_view kMaybeTwice = "message may be sent more than once";

/// Does that to the first question of a step, in the first session that asks it.
struct Once {
    Step step;
    Answer answer;
    bool done = false;
    Answer operator()(const Question& question) {
        if (done || question.step != step) return {};
        done = true;
        return answer;
    }
};

Answer late(Duration time) {
    Answer answer;
    answer.late = time;
    return answer;
}

Answer stall() {
    Answer answer;
    answer.then = Then::Stall;
    return answer;
}

/// How long each answer is waited for, by default.
struct Patience {
    Step step;
    std::chrono::seconds time;
    std::string_view activity;
};
const std::vector<Patience> kPatience = {
    {Step::Greeting, 300s, "receiving the initial server greeting"},
    {Step::Hello, 300s, "performing the EHLO handshake"},
    {Step::Login, 300s, ""},
    {Step::Mail, 300s, "sending MAIL FROM"},
    {Step::Rcpt, 300s, "sending RCPT TO"},
    {Step::Data, 120s, "sending DATA command"},
    {Step::End, 600s, "sending end of data"},
};

std::vector<std::string> without_chunking(int) {
    return {"PIPELINING", "8BITMIME", "AUTH PLAIN"};
}

// U3: each answer may take its whole time, and the message is there once.
TEST(LateAnswers, AreWaitedForAndCostNoCopy) {
    for (const Patience& patience : kPatience) {
        CourierWorld courier;
        courier.smarthost.offers = without_chunking;
        courier.smarthost.director = Once{patience.step, late(patience.time - 1s)};
        courier.start();

        courier.submit({{}});
        courier.let_pass(3h);

        EXPECT_THAT(courier.smarthost.taken, SizeIs(1)) << patience.activity;
        EXPECT_THAT(courier.logged("status=sent"), SizeIs(1)) << patience.activity;
        EXPECT_THAT(courier.logged("status=deferred"), IsEmpty()) << patience.activity;
        EXPECT_EQ(courier.queued(), 0U);
    }
}

// The control, and U2: an answer that comes too late is an answer lost. Only behind the end of data
// does that cost a copy, and only there is one announced.
TEST(LateAnswers, AreGivenUpWhenTheirTimeIsOver) {
    for (const Patience& patience : kPatience) {
        CourierWorld courier;
        courier.smarthost.offers = without_chunking;
        courier.smarthost.director = Once{patience.step, late(patience.time + 1s)};
        courier.start();

        courier.submit({{}});
        courier.let_pass(6h);

        const bool is_end = patience.step == Step::End;
        EXPECT_THAT(courier.smarthost.taken, SizeIs(is_end ? 2 : 1)) << patience.activity;
        ASSERT_THAT(courier.logged("status=deferred"), SizeIs(1)) << patience.activity;
        const auto [when, text] = courier.logged("status=deferred")[0];
        EXPECT_THAT(text, HasSubstr(patience.activity));
        EXPECT_GE(when, patience.time);
        EXPECT_LE(when, patience.time + 1s);
        EXPECT_THAT(courier.logged(kMaybeTwice), SizeIs(is_end ? 1 : 0)) << patience.activity;
        EXPECT_THAT(courier.logged("status=sent"), SizeIs(1));
    }
}

/// Before a first session has come about the others wait for it, but not for long; and for its turn
/// to log in.
constexpr auto kHeadStarts = 45s;

// U16, P5: whatever one session waits for, the other messages go their way meanwhile.
TEST(AStallingServer, HoldsUpOneSessionAndNobodyElse) {
    std::vector<Patience> phases = kPatience;
    // Content and its end are one write here: nobody knows how much of it has arrived.
    phases.push_back({Step::Content, 180s, "sending end of data"});
    for (const Patience& patience : phases) {
        CourierWorld courier;
        courier.smarthost.offers = without_chunking;
        courier.smarthost.director = Once{patience.step, stall()};
        courier.start();

        // The first is larger than what fits into a connection that nobody reads.
        CourierWorld::Letter large;
        for (int i = 0; i < 4000; ++i) large.content += std::string(70, 'x') + "\r\n";
        courier.submit({large});
        courier.let_pass(1s);
        courier.submit(std::vector<CourierWorld::Letter>(20));
        courier.let_pass(kHeadStarts);

        // A stall behind the end of data: it had taken the message.
        const std::size_t large_taken = patience.step == Step::End ? 1 : 0;
        EXPECT_THAT(courier.smarthost.taken, SizeIs(20 + large_taken)) << patience.activity;
        EXPECT_THAT(courier.logged("status=deferred"), IsEmpty());
        courier.let_pass(3h);
        ASSERT_THAT(courier.logged("status=deferred"), SizeIs(1)) << patience.activity;
        const auto [when, text] = courier.logged("status=deferred")[0];
        EXPECT_THAT(text, HasSubstr(patience.activity));
        EXPECT_GE(when, patience.time);
        EXPECT_LE(when, patience.time + 2s);
        EXPECT_THAT(courier.smarthost.taken, SizeIs(21 + large_taken));
        EXPECT_EQ(courier.queued(), 0U) << patience.activity;
    }
}

// U16: even if every session stalls, no more are opened than are allowed, and each ends in time.
TEST(AStallingServer, GetsNoMoreSessionsThanAllowed) {
    CourierWorld courier;
    courier.smarthost.director = [](const Question& question) {
        return question.step == Step::Mail ? stall() : Answer();
    };
    courier.start();

    courier.submit(std::vector<CourierWorld::Letter>(100));
    courier.let_pass(24h);

    EXPECT_LE(courier.smarthost.open_max, 5);
    EXPECT_THAT(courier.smarthost.taken, IsEmpty());
    EXPECT_EQ(courier.queued(), 100U);
    // Not a session after the other for each message: the destination rests in between.
    EXPECT_LE(courier.smarthost.sessions_begun, 24 * 60 / 5 * 2);
}

/// What a session offers, by its number: everything comes and goes.
std::vector<std::string> fickle(int session) {
    std::vector<std::string> words;
    if ((session & 1) != 0) words.emplace_back("PIPELINING");
    if ((session & 2) != 0) words.emplace_back("CHUNKING");
    if ((session & 4) != 0) words.emplace_back("SIZE 1000000");
    if ((session & 8) != 0) words.emplace_back("8BITMIME");
    if ((session & 16) != 0) words.emplace_back("AUTH PLAIN");
    return words;
}

// U19: what one session offered is forgotten in the next.
TEST(Capabilities, BelongToOneSession) {
    CourierWorld courier;
    courier.smarthost.offers = fickle;
    // One message a session.
    courier.smarthost.director = [](const Question& question) {
        Answer answer;
        if (question.step == Step::End) answer.then = Then::Close;
        return answer;
    };
    courier.start();

    CourierWorld::Letter letter;
    letter.content =
        "Subject: x\r\nMIME-Version: 1.0\r\nContent-Transfer-Encoding: "
        "8bit\r\n\r\nna\xc3\xafve\r\n";
    letter.has_8bit = true;
    for (int i = 0; i < 64; ++i) {
        courier.submit({letter});
        courier.let_pass(40s);
    }

    EXPECT_THAT(courier.smarthost.taken, SizeIs(64));
    std::map<int, std::string> said;
    for (const auto& [session, command] : courier.smarthost.heard) said[session] += command + "\n";
    for (const DirectedSmarthost::Taken& taken : courier.smarthost.taken) {
        const int session = taken.session;
        const std::string& words = said[session];
        const auto has = [&](std::string_view what) {
            return words.find(what) != std::string::npos;
        };
        EXPECT_EQ(has("BDAT "), (session & 3) == 3) << session << "\n" << words;
        // Of converted content nobody knows the size beforehand.
        EXPECT_EQ(has("SIZE="), (session & 12) == 12) << session << "\n" << words;
        EXPECT_EQ(has("BODY=8BITMIME"), (session & 8) != 0) << session << "\n" << words;
        EXPECT_EQ(has("AUTH "), (session & 16) != 0) << session << "\n" << words;
        EXPECT_EQ(taken.content.find("na=C3=AFve") != std::string::npos, (session & 8) == 0);
    }
}

/// `QUIT`, which is no part of a message.
constexpr std::uint64_t kFarewell = 6;
/// As DATA carries it.
constexpr std::string_view kContent = "Subject: x\r\n\r\n..dot\r\n.\r\n";

/// One message over a connection that is cut behind so many bytes of one direction.
struct Cut {
    Cut(const std::vector<std::string>& offers, std::size_t side, std::uint64_t at) {
        courier.smarthost.offers = [offers](int) { return offers; };
        courier.smarthost.manner = [side, at](int session) {
            WireManner manner;
            if (session == 1) manner.cut_after[side] = at;
            return manner;
        };
        courier.smarthost.director = [this](const Question& question) {
            if (question.session == 1 && question.step == Step::End) end_arrived = true;
            return Answer();
        };
        courier.start();
        courier.submit({{}});
        courier.let_pass(3h);
    }
    CourierWorld courier;
    bool end_arrived = false;
};

// U1: the server has all of it or nothing; a copy is made, and announced, only for what it may
// have.
TEST(ACutConnection, AtEachByteLosesNothingAndCopiesOnlyWhatMayHaveArrived) {
    const std::vector<std::vector<std::string>> kinds = {
        {"AUTH PLAIN"},
        {"PIPELINING", "AUTH PLAIN"},
        {"PIPELINING", "CHUNKING", "AUTH PLAIN"},
    };
    for (const auto& offers : kinds) {
        Cut whole(offers, 0, 1'000'000);
        ASSERT_THAT(whole.courier.smarthost.taken, SizeIs(1));
        const bool chunked = offers.size() == 3;
        const std::uint64_t all = whole.courier.smarthost.bytes_sent_in(1) - kFarewell;
        std::map<std::size_t, int> copies;
        for (const std::size_t side : {0, 1}) {
            const std::uint64_t end = side == 0 ? whole.courier.smarthost.bytes_sent_in(1)
                                                : whole.courier.smarthost.bytes_said_in(1);
            ASSERT_GT(end, 100U);
            for (std::uint64_t at = 1; at <= std::min(end, side == 0 ? all : end); ++at) {
                Cut cut(offers, side, at);
                const auto& taken = cut.courier.smarthost.taken;
                const bool announced = !cut.courier.logged(kMaybeTwice).empty();
                ASSERT_GE(taken.size(), 1U) << side << " " << at;
                ASSERT_LE(taken.size(), cut.end_arrived ? 2U : 1U) << side << " " << at;
                ASSERT_TRUE(taken.size() == 1 || announced) << side << " " << at;
                // In one flight nobody knows how much of it arrived. Else content is said last.
                const bool began = cut.courier.smarthost.bytes_sent_in(1) > all - kContent.size();
                ASSERT_TRUE(!announced || chunked || began) << side << " " << at;
                ASSERT_THAT(cut.courier.logged("status=sent"), SizeIs(1)) << side << " " << at;
                ASSERT_EQ(cut.courier.queued(), 0U) << side << " " << at;
                for (const auto& one : taken) {
                    ASSERT_EQ(one.content, "Subject: x\r\n\r\n.dot\r\n");
                    ASSERT_THAT(one.recipients, SizeIs(1));
                }
                ++copies[taken.size()];
            }
        }
        // The control: there were cuts of both kinds.
        EXPECT_GT(copies[1], 100);
        EXPECT_GT(copies[2], 10);
    }
}

}  // namespace
}  // namespace postrider::simulation
