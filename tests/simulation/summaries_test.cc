// Q5: however much mail of a sender fails, the reports about it are few, and none is left out.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "directed_smarthost.h"

namespace postrider::simulation {
namespace {

using namespace std::chrono_literals;

/// Nobody is known but the senders.
Answer refuse_strangers(const Question& question) {
    Answer answer;
    const bool stranger = question.line.find("@corp.example") != std::string::npos;
    if (question.step == Step::Rcpt && stranger) answer.text = "550 5.1.1 no such user";
    return answer;
}

std::vector<CourierWorld::Letter> letters(int count, int first = 0) {
    std::vector<CourierWorld::Letter> all;
    for (int i = first; i < first + count; ++i) {
        CourierWorld::Letter letter;
        letter.to = {"no" + std::to_string(i) + "@corp.example"};
        all.push_back(letter);
    }
    return all;
}

struct Reports {
    std::size_t single = 0;
    std::size_t summaries = 0;
    std::map<std::string, int> told;  ///< How often of each recipient.
    Duration first{0};
};

Reports reports_in(const CourierWorld& courier) {
    Reports reports;
    for (const auto& taken : courier.smarthost.taken) {
        if (!taken.from.empty()) continue;
        if (reports.single + reports.summaries == 0) reports.first = taken.when;
        EXPECT_EQ(taken.recipients, std::vector<std::string>{"ann@desk.example"});
        const bool single = taken.content.find("multipart/report") != std::string::npos;
        ++(single ? reports.single : reports.summaries);
        const std::string mark = "\r\n<";
        for (std::size_t at = 0; (at = taken.content.find(mark, at)) != std::string::npos;) {
            at += mark.size();
            ++reports.told[taken.content.substr(at, taken.content.find('>', at) - at)];
        }
    }
    return reports;
}

/// Each of them once.
void expect_told(const Reports& reports, std::size_t count) {
    EXPECT_EQ(reports.told.size(), count);
    for (const auto& [recipient, times] : reports.told) EXPECT_EQ(times, 1) << recipient;
}

class Summaries : public testing::Test {
protected:
    Summaries() { courier.smarthost.director = refuse_strangers; }

    CourierWorld courier;
};

TEST_F(Summaries, TellOfThousandsOfFailuresInAFewMessages) {
    courier.start();
    courier.submit(letters(3000));
    courier.let_pass(30min);
    EXPECT_EQ(reports_in(courier).single, 100U) << "the first ones are told of at once";
    EXPECT_LT(reports_in(courier).first, 10s);
    EXPECT_EQ(reports_in(courier).summaries, 0U);

    courier.let_pass(3h);

    const Reports reports = reports_in(courier);
    EXPECT_EQ(reports.single, 100U);
    EXPECT_LE(reports.summaries, 8U);
    expect_told(reports, 3000);
    EXPECT_EQ(courier.queued(), 0U);
}

TEST_F(Summaries, ControlWithoutALimitEachFailureIsAReport) {
    courier.settings.delivery.report.sender_limit = 0;
    courier.start();
    courier.submit(letters(1000));
    courier.let_pass(3h);

    const Reports reports = reports_in(courier);
    EXPECT_EQ(reports.single, 1000U);
    expect_told(reports, 1000);
}

TEST_F(Summaries, CoverWhatAnotherProcessLeftOut) {
    courier.settings.delivery.report.sender_limit = 2;
    courier.start();
    courier.submit(letters(5));
    courier.let_pass(10min);
    courier.restart();
    courier.submit(letters(3, 5));
    courier.let_pass(40min);
    EXPECT_EQ(reports_in(courier).single, 2U) << "the interval is not over";
    EXPECT_EQ(reports_in(courier).summaries, 0U);

    courier.let_pass(20min);

    const Reports reports = reports_in(courier);
    EXPECT_EQ(reports.single, 2U);
    EXPECT_EQ(reports.summaries, 1U);
    expect_told(reports, 8);
    EXPECT_EQ(courier.queued(), 0U);
}

// As of a job that runs each minute.
TEST_F(Summaries, ComeOnceAnIntervalAsLongAsMailFails) {
    courier.settings.delivery.report.sender_limit = 10;
    courier.start();
    for (int i = 0; i < 300; ++i) {
        courier.submit(letters(1, i));
        courier.let_pass(60s);
    }
    courier.let_pass(2h);

    const Reports during = reports_in(courier);
    EXPECT_EQ(during.single, 10U);
    EXPECT_LE(during.summaries, 6U);
    expect_told(during, 300);

    courier.submit(letters(1, 300));
    courier.let_pass(60s);
    EXPECT_EQ(reports_in(courier).single, 11U) << "all was well for an interval";
}

TEST_F(Summaries, DoNotTouchWhoHasOthersStillToBeTried) {
    courier.smarthost.director = [](const Question& question) {
        Answer answer = refuse_strangers(question);
        const bool later = question.line.find("later") != std::string::npos;
        if (question.step == Step::Rcpt && later) answer.text = "451 4.7.1 later";
        return answer;
    };
    courier.settings.delivery.report.sender_limit = 1;
    courier.start();
    auto both = letters(2);
    both[1].to.push_back("later@corp.example");
    courier.submit(both);
    courier.let_pass(3h);
    EXPECT_EQ(courier.queued(), 1U);
    expect_told(reports_in(courier), 2);

    courier.smarthost.director = [](const Question&) { return Answer(); };
    courier.let_pass(2h);
    EXPECT_EQ(courier.queued(), 0U);
    EXPECT_EQ(courier.smarthost.taken.back().recipients,
              std::vector<std::string>{"later@corp.example"});
}

TEST_F(Summaries, AreNotNeededForDelayNoticesWhichAreLimitedAllTheSame) {
    courier.smarthost.director = [](const Question& question) {
        Answer answer;
        const bool corp = question.line.find("@corp.example") != std::string::npos;
        if (question.step == Step::Rcpt && corp) answer.text = "451 4.7.1 later";
        return answer;
    };
    courier.settings.delivery.report.sender_limit = 5;
    courier.settings.delivery.retry.delay_warning_time = 30min;
    courier.start();
    courier.submit(letters(50));
    courier.let_pass(3h);

    const Reports reports = reports_in(courier);
    EXPECT_GE(reports.single, 5U);
    EXPECT_LE(reports.single, 15U);
    EXPECT_EQ(courier.queued(), 50U);
}

}  // namespace
}  // namespace postrider::simulation
