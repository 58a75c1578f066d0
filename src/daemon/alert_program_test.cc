// The alert program gets what it should know and nothing else.
#include "daemon/alert_program.h"

#include <filesystem>
#include <fstream>
#include <sstream>

#include <poll.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace postrider::daemon {
namespace {

using namespace std::chrono_literals;
using testing::Contains;
using testing::HasSubstr;
using testing::Not;

class AlertProgramTest : public testing::Test {
protected:
    AlertProgramTest() {
        std::string path = (std::filesystem::temp_directory_path() / "alert-XXXXXX").string();
        folder = ::mkdtemp(path.data());
        owner.uid = ::getuid();
        owner.gid = ::getgid();
        ::setenv("POSTRIDER_CANARY", "canary", 1);
    }
    ~AlertProgramTest() override { std::filesystem::remove_all(folder); }

    void program(const std::string& body) {
        const auto path = folder / "alert";
        std::ofstream(path) << "#!/bin/sh\nout=" << folder.string() << "/out\n" << body;
        ::chmod(path.c_str(), 0755);
        alerts.set_program(path);
    }
    AlertText alert(const std::string& state, const std::string& account) {
        AlertText text;
        text.state = state;
        text.account = account;
        text.reason = "535 no; $(id) `id` \"quoted\"";
        text.since = 1795356000;
        return text;
    }
    void wait_for_one() {
        int status = 0;
        const pid_t pid = ::waitpid(-1, &status, 0);
        ASSERT_GT(pid, 0);
        EXPECT_TRUE(alerts.ended(pid, status, now));
    }
    std::string written() {
        std::ostringstream text;
        text << std::ifstream(folder / "out").rdbuf();
        return text.str();
    }

    std::filesystem::path folder;
    Owner owner;
    CapturedLog lines;
    MonotonicTime now{1h};
    AlertProgram alerts{owner, Log(lines, "master")};
};

TEST_F(AlertProgramTest, IsToldInFourArgumentsThatNoShellReads) {
    program("for word; do echo \"<$word>\"; done > $out\n");
    alerts.raise(alert("login-refused", "ann via [h]:465"), now);
    wait_for_one();
    EXPECT_EQ(written(),
              "<login-refused>\n<ann via [h]:465>\n<535 no; $(id) `id` \"quoted\">\n"
              "<2026-11-22T14:00:00Z>\n");
    EXPECT_TRUE(lines.lines().empty());
}

TEST_F(AlertProgramTest, InheritsNothing) {
    int pipe_ends[2];
    ASSERT_EQ(::pipe(pipe_ends), 0);
    program("{ env; ls -l /proc/self/fd; pwd; grep NoNewPrivs /proc/self/status; } > $out 2>&1\n");
    alerts.raise(alert("ok", "x"), now);
    wait_for_one();
    EXPECT_THAT(written(), Not(HasSubstr("canary")));
    EXPECT_THAT(written(), Not(HasSubstr("pipe:")));
    EXPECT_THAT(written(), HasSubstr("PWD=/\n"));
    ::close(pipe_ends[0]);
    ::close(pipe_ends[1]);
}

TEST_F(AlertProgramTest, RunsOneAtATimeAndTellsTheLatestForEachAccount) {
    program("echo $1 $2 >> $out\n");
    alerts.raise(alert("login-refused", "ann"), now);
    alerts.raise(alert("ok", "ann"), now);
    alerts.raise(alert("quota-reached", "bob"), now);
    alerts.raise(alert("login-refused", "ann"), now);
    wait_for_one();
    wait_for_one();
    wait_for_one();
    EXPECT_EQ(written(), "login-refused ann\nquota-reached bob\nlogin-refused ann\n");
    EXPECT_EQ(::waitpid(-1, nullptr, WNOHANG), -1) << "nothing else was started";
}

TEST_F(AlertProgramTest, IsEndedWhenItTakesTooLong) {
    program("sleep 600\n");
    alerts.raise(alert("ok", "x"), now);
    ASSERT_TRUE(alerts.wake_at());
    alerts.heed_time(now + 29s);
    alerts.heed_time(now + 30s);
    wait_for_one();
    EXPECT_THAT(lines.lines(), Contains(HasSubstr("killed after 30 s")));
}

TEST_F(AlertProgramTest, FailuresAreLogged) {
    program("exit 3\n");
    alerts.raise(alert("ok", "x"), now);
    wait_for_one();
    EXPECT_THAT(lines.lines(), Contains(HasSubstr("exit status 3")));
    alerts.set_program("/nonexistent");
    alerts.raise(alert("ok", "x"), now);
    wait_for_one();
    EXPECT_THAT(lines.lines(), Contains(HasSubstr("cannot be run")));
}

TEST_F(AlertProgramTest, TravelsInANote) {
    AlertText long_one = alert("ok", std::string(1000, 'a'));
    long_one.reason = std::string(5000, 'r');
    EXPECT_LE(long_one.to_note().size(), 1000U);
    const AlertText back =
        AlertText::from_note(alert("quota-reached", "ann").to_note(), 1795356000);
    EXPECT_EQ(back.state, "quota-reached");
    EXPECT_EQ(back.account, "ann");
    EXPECT_EQ(back.reason, alert("", "").reason);
    EXPECT_EQ(AlertText::from_note("", 0).state, "");
}

}  // namespace
}  // namespace postrider::daemon
