#include "core/log_targets.h"

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <gmock/gmock.h>

namespace postrider {
namespace {

class LogTargets : public ::testing::Test {
protected:
    LogTargets() {
        std::string name = std::filesystem::temp_directory_path() / "log_targets.XXXXXX";
        directory_ = ::mkdtemp(name.data());
    }
    ~LogTargets() override { std::filesystem::remove_all(directory_); }

    static std::string contents(const std::string& path) {
        std::ifstream file(path);
        return {std::istreambuf_iterator<char>(file), {}};
    }

    std::filesystem::path directory_;
};

}  // namespace

TEST_F(LogTargets, AFileGetsPostlogdsForm) {
    const std::string path = directory_ / "mail.log";
    auto file = FileTarget::open_file(path, 0600);
    ASSERT_TRUE(file) << file.error().message;
    FileTarget target(std::move(file).value(), {"postrider", "desk"});

    target.write(Severity::Warning, "smtp", "late");

    std::string line;
    std::getline(std::ifstream(path) >> std::ws, line);
    EXPECT_THAT(line, ::testing::MatchesRegex("[A-Z][a-z]+ [0-9]+ [0-9:]+ desk postrider/smtp\\[" +
                                              std::to_string(::getpid()) + "\\]: warning: late"));
    EXPECT_EQ(std::filesystem::status(path).permissions(), std::filesystem::perms(0600));
}

TEST_F(LogTargets, SyslogGetsPriorityTagAndText) {
    const std::string path = directory_ / "log";
    UniqueFd daemon(::socket(AF_UNIX, SOCK_DGRAM, 0));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    path.copy(address.sun_path, sizeof address.sun_path - 1);
    ASSERT_EQ(::bind(daemon.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    auto target = SyslogTarget::open({"postrider", "desk"}, "mail", path);
    ASSERT_TRUE(target);

    (*target)->write(Severity::Fatal, "master", "no disk");

    char text[256];
    const ssize_t length = ::recv(daemon.get(), text, sizeof text, MSG_DONTWAIT);
    ASSERT_GT(length, 0);
    EXPECT_THAT(std::string(text, static_cast<std::size_t>(length)),
                ::testing::MatchesRegex("<18>.* postrider/master\\[[0-9]+\\]: fatal: no disk"));
}

TEST_F(LogTargets, CountsWhatNobodyTook) {
    auto target = SyslogTarget::open({"postrider", "desk"}, "mail", directory_ / "absent");
    ASSERT_TRUE(target);

    (*target)->write(Severity::Info, "smtp", "lost");

    EXPECT_EQ((*target)->dropped(), 1u);
}

TEST_F(LogTargets, GathersLinesIntoOneWrite) {
    const std::string path = directory_ / "mail.log";
    FileTarget target(*FileTarget::open_file(path, 0600), {"postrider", "desk"});
    int scheduled = 0;
    target.gather([&] { ++scheduled; });

    target.write(Severity::Info, "smtp", "one");
    target.write(Severity::Info, "smtp", "two");
    EXPECT_EQ(scheduled, 1);
    EXPECT_EQ(std::filesystem::file_size(path), 0u);
    target.flush();
    EXPECT_THAT(contents(path), ::testing::ContainsRegex("one\n.*two\n"));
    target.write(Severity::Fatal, "smtp", "three");
    EXPECT_THAT(contents(path), ::testing::EndsWith(": fatal: three\n"));
}

// RS4.
TEST_F(LogTargets, DoesNotWaitForAReaderAndTellsOfWhatWasLost) {
    int ends[2];
    ASSERT_EQ(::pipe(ends), 0);
    const UniqueFd reader(ends[0]);
    FileTarget target(UniqueFd(ends[1]), {"postrider", "desk"});

    constexpr int lines = 5000;
    for (int i = 0; i < lines; ++i) target.write(Severity::Info, "smtp", "a line of some length");
    const auto dropped = target.dropped();
    ASSERT_GT(dropped, 0u);

    std::string taken(1 << 20, '\0');
    taken.resize(static_cast<std::size_t>(::read(reader.get(), taken.data(), taken.size())));
    EXPECT_EQ(std::count(taken.begin(), taken.end(), '\n') + dropped, lines);
    target.write(Severity::Info, "smtp", "after");
    taken.assign(1 << 20, '\0');
    taken.resize(static_cast<std::size_t>(::read(reader.get(), taken.data(), taken.size())));
    EXPECT_THAT(taken, ::testing::ContainsRegex("warning: " + std::to_string(dropped) +
                                                " log lines were lost: .*\n.*: after\n"));
    EXPECT_EQ(target.dropped(), dropped);
}

// RS4.
TEST_F(LogTargets, GoesOnWhenTheDiskIsFull) {
    const UniqueFd full(::open("/dev/full", O_WRONLY));
    ASSERT_TRUE(full);
    FileTarget target(UniqueFd(::dup(full.get())), {"postrider", "desk"});
    target.write(Severity::Info, "smtp", "lost");
    target.write(Severity::Info, "smtp", "lost, too");
    EXPECT_GE(target.dropped(), 2u);
}

TEST_F(LogTargets, RefusesAnUnknownFacility) {
    EXPECT_FALSE(SyslogTarget::open({"postrider", "desk"}, "post", directory_ / "absent"));
}

}  // namespace postrider
