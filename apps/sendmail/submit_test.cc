#include "submit.h"

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include <fcntl.h>
#include <unistd.h>

#include <gtest/gtest.h>

#include "stand_alone.h"

namespace postrider::apps {
namespace {

TEST(LoneDot, EndsAMessageHoweverCut) {
    struct Case {
        std::string text;
        std::size_t end;
    };
    const std::vector<Case> cases = {
        {".\n", 2},
        {"a\n.\nb", 4},
        {"a\r\n.\r\nb", 6},
        {"a\n.\r\r\n", 6},
        {"a\n..\n", std::string::npos},
        {"a\n. \n", std::string::npos},
        {"a.\n", std::string::npos},
        {"\n\n.\n", 4},
        {"a\n.", std::string::npos},
    };
    for (const Case& c : cases) {
        EXPECT_EQ(LoneDot().find_end(c.text), c.end) << c.text;
        LoneDot split;
        std::size_t found = std::string::npos;
        for (std::size_t i = 0; i < c.text.size() && found == std::string::npos; ++i) {
            if (split.find_end(c.text.substr(i, 1)) != std::string::npos) found = i + 1;
        }
        EXPECT_EQ(found, c.end) << c.text;
    }
}

/// A queue directory without a daemon.
class Offline : public testing::Test {
protected:
    Offline() {
        char pattern[] = "/tmp/postrider-submit-XXXXXX";
        doors.queue_directory = ::mkdtemp(pattern);
        doors.myhostname = "desk.example";
        std::filesystem::create_directory(doors.maildrop_path());
    }
    ~Offline() override { std::filesystem::remove_all(doors.queue_directory); }

    /// A pipe's end from which `text` can be read.
    UniqueFd input(const std::string& text) {
        std::ofstream(doors.queue_directory + "/input") << text;
        return UniqueFd(::open((doors.queue_directory + "/input").c_str(), O_RDONLY));
    }
    std::vector<std::string> drops() const {
        std::vector<std::string> contents;
        for (const auto& entry : std::filesystem::directory_iterator(doors.maildrop_path())) {
            std::ifstream file(entry.path(), std::ios::binary);
            contents.emplace_back(std::istreambuf_iterator<char>(file),
                                  std::istreambuf_iterator<char>());
        }
        return contents;
    }
    static std::string content_of(std::string_view drop) {
        const auto length = *intake::decode_preamble(drop);
        std::string content;
        intake::ContentFrames frames;
        for (drop.remove_prefix(9 + length); !frames.at_end();) {
            const auto step = *frames.next(drop);
            content += step.content;
            drop.remove_prefix(step.consumed);
        }
        return content;
    }

    Doors doors;
    intake::SubmissionRequest request;
};

TEST_F(Offline, MessageGoesIntoMaildrop) {
    request.recipients = {"bob@corp.example"};
    for (const std::size_t size : {std::size_t{0}, std::size_t{10}, std::size_t{9000000}}) {
        std::filesystem::remove_all(doors.maildrop_path());
        std::filesystem::create_directory(doors.maildrop_path());
        const std::string text(size, 'x');

        const auto answer = submit(doors, request, input(text).get());

        EXPECT_EQ(answer.status, 0) << answer.text;
        ASSERT_EQ(drops().size(), 1u);
        EXPECT_EQ(content_of(drops()[0]), text);
    }
}

TEST_F(Offline, RefusesWhatIsTooBigAndLeavesNothing) {
    doors.message_size_limit = 100;

    EXPECT_EQ(submit(doors, request, input(std::string(101, 'x')).get()).text,
              caller_label(request) + ": message file too big");
    EXPECT_TRUE(drops().empty());
}

TEST_F(Offline, FailsWithoutADropDirectory) {
    std::filesystem::remove_all(doors.maildrop_path());

    EXPECT_EQ(submit(doors, request, input("x").get()).status, 75);
}

TEST_F(Offline, StandAloneSessionLeavesOneFileForEachMessage) {
    const UniqueFd in = input(
        "EHLO localhost\r\nMAIL FROM:<a@x.example>\r\nRCPT TO:<b@y.example>\r\nDATA\r\n"
        "Subject: 1\r\n\r\n..\r\n.\r\n"
        "MAIL FROM:<c@x.example>\r\nRCPT TO:<d@y.example>\r\nRSET\r\n"
        "MAIL FROM:<e@x.example>\r\nRCPT TO:<f@y.example>\r\nDATA\r\nSubject: 2\r\n.\r\nQUIT\r\n");
    const std::string path = doors.queue_directory + "/output";
    {
        const UniqueFd out(::open(path.c_str(), O_WRONLY | O_CREAT, 0600));
        EXPECT_EQ(offline_dialogue(doors, request, in.get(), out.get()), 0);
    }

    std::ifstream file(path);
    const std::string said((std::istreambuf_iterator<char>(file)),
                           std::istreambuf_iterator<char>());
    EXPECT_TRUE(said.starts_with("220 desk.example ESMTP"));
    EXPECT_TRUE(said.ends_with("221 2.0.0 Bye\r\n"));
    std::vector<std::string> contents;
    for (const std::string& drop : drops()) {
        contents.push_back(content_of(drop));
        const auto length = *intake::decode_preamble(drop);
        const auto read = intake::decode_request(std::string_view(drop).substr(9, length));
        ASSERT_TRUE(read);
        EXPECT_EQ((*read).recipients.size(), 1u);
    }
    std::sort(contents.begin(), contents.end());
    EXPECT_EQ(contents, (std::vector<std::string>{"Subject: 1\r\n\r\n.\r\n", "Subject: 2\r\n"}));
}

}  // namespace
}  // namespace postrider::apps
