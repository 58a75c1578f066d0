// Each attempt is made by a process of its own that has confined itself as a worker does.
#include "daemon/confine.h"

#include <cerrno>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <functional>
#include <string>

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <gtest/gtest.h>

#include "core/log.h"

namespace postrider::daemon {
namespace {

class NoLog final : public LogSink {
public:
    void write(Severity, std::string_view, std::string_view) override {}
};

constexpr bool kSanitized =
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    true;
#else
    false;
#endif

/// The scratch directory holds queue/queue.db and a password file, which anyone may read as far as
/// their modes go: what keeps a worker out is its confinement.
class Confine : public testing::Test {
protected:
    void SetUp() override {
        std::string path = testing::TempDir() + "confine-XXXXXX";
        ASSERT_NE(::mkdtemp(path.data()), nullptr);
        directory_ = path;
        std::filesystem::permissions(directory_, std::filesystem::perms(0755));
        std::filesystem::create_directory(queue());
        std::filesystem::permissions(queue(), std::filesystem::perms(0777));
        std::ofstream(database()) << "mail";
        std::filesystem::permissions(database(), std::filesystem::perms(0666));
        std::ofstream(passwords()) << "secret";
    }
    void TearDown() override { std::filesystem::remove_all(directory_); }

    std::filesystem::path queue() const { return directory_ / "queue"; }
    std::filesystem::path database() const { return queue() / "queue.db"; }
    std::filesystem::path passwords() const { return directory_ / "smtp_auth"; }

    /// Runs `attempt` in a confined process. Its result: 0 for success, an errno, or -9 and the
    /// like for the signal that ended it; -1000 when confining failed.
    int attempt(Role role, const std::function<bool()>& attempt) const {
        const pid_t pid = ::fork();
        if (pid == 0) {
            NoLog sink;
            const Log log(sink, "confine");
            Owner owner;
            owner.uid = ::geteuid() == 0 ? 65534 : ::geteuid();
            owner.gid = ::geteuid() == 0 ? 65534 : ::getegid();
            owner.change_to = ::geteuid() == 0;
            FileAccess access;
            if (role == Role::Courier) access.write = {queue()};
            if (!drop_privileges(owner)) ::_exit(255);
            confine_reach(role, access, log);
            if (!confine_system_calls(role, log)) ::_exit(255);
            errno = 0;
            ::_exit(attempt() ? 0 : errno);
        }
        int status = 0;
        ::waitpid(pid, &status, 0);
        if (WIFSIGNALED(status)) return -WTERMSIG(status);
        return WEXITSTATUS(status) == 255 ? -1000 : WEXITSTATUS(status);
    }

    std::filesystem::path directory_;
};

bool opens(const std::filesystem::path& path, int flags) {
    return ::open(path.c_str(), flags, 0600) >= 0;
}

bool has_landlock() {
    return ::syscall(SYS_landlock_create_ruleset, nullptr, 0, 1) >= 1;
}

TEST_F(Confine, AnIntakeServesWhatItHasOpen) {
    int ends[2];
    ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    const auto talk = [&] {
        char byte = 0;
        return ::send(ends[0], "x", 1, 0) == 1 && ::recv(ends[1], &byte, 1, 0) == 1 && byte == 'x';
    };
    EXPECT_EQ(attempt(Role::Intake, talk), 0);
    ::close(ends[0]);
    ::close(ends[1]);
}

TEST_F(Confine, AnIntakeOpensNoFile) {
    if (kSanitized && !has_landlock()) GTEST_SKIP() << "nothing confines a sanitized build here";
    for (const auto& path : {database(), passwords(), std::filesystem::path("/etc/passwd")}) {
        EXPECT_GT(attempt(Role::Intake, [&] { return opens(path, O_RDONLY); }), 0) << path;
    }
    EXPECT_GT(attempt(Role::Intake, [&] { return opens(database(), O_WRONLY); }), 0);
    EXPECT_GT(attempt(Role::Intake, [&] { return opens(queue() / "new", O_RDWR | O_CREAT); }), 0);
}

TEST_F(Confine, AnIntakeEndsWhenItReachesOut) {
    if (kSanitized) GTEST_SKIP() << "system calls are not confined in a sanitized build";
    EXPECT_EQ(attempt(Role::Intake, [] { return ::socket(AF_INET, SOCK_STREAM, 0) >= 0; }),
              -SIGSYS);
    const auto program = [] {
        char name[] = "/bin/true";
        char* arguments[] = {name, nullptr};
        return ::execv(name, arguments) == 0;
    };
    const auto bound = [] {
        sockaddr_in address{};
        address.sin_family = AF_INET;
        return ::bind(0, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
    };
    const auto connected = [] {
        sockaddr_in address{};
        address.sin_family = AF_INET;
        return ::connect(0, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
    };
    EXPECT_EQ(attempt(Role::Intake, program), -SIGSYS);
    EXPECT_EQ(attempt(Role::Intake, bound), -SIGSYS);
    EXPECT_EQ(attempt(Role::Intake, connected), -SIGSYS);
    EXPECT_EQ(attempt(Role::Intake, [] { return ::ptrace(PTRACE_TRACEME, 0, 0, 0) == 0; }),
              -SIGSYS);
    EXPECT_EQ(attempt(Role::Intake, [] { return ::fork() >= 0; }), -SIGSYS);
    EXPECT_EQ(attempt(Role::Intake, [] { return ::kill(::getppid(), 0) == 0; }), -SIGSYS);
    EXPECT_EQ(attempt(Role::Intake, [this] { return ::unlink(database().c_str()) == 0; }), -SIGSYS);
}

TEST_F(Confine, NoWorkerMakesProgramsOfData) {
    if (kSanitized) GTEST_SKIP() << "system calls are not confined in a sanitized build";
    const auto page = [](int protection) {
        return ::mmap(nullptr, 4096, protection, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) != MAP_FAILED;
    };
    for (const Role role : {Role::Intake, Role::Courier}) {
        EXPECT_EQ(attempt(role, [&] { return page(PROT_READ | PROT_WRITE); }), 0);
        EXPECT_EQ(attempt(role, [&] { return page(PROT_READ | PROT_EXEC); }), -SIGSYS);
        EXPECT_EQ(attempt(role, [] { return ::prctl(PR_SET_DUMPABLE, 1) == 0; }), -SIGSYS);
    }
}

TEST_F(Confine, ACourierOpensItsQueueAndNothingElse) {
    if (!has_landlock()) GTEST_SKIP() << "this kernel has no Landlock";
    EXPECT_EQ(attempt(Role::Courier, [&] { return opens(database(), O_RDWR | O_TRUNC); }), 0);
    EXPECT_EQ(attempt(Role::Courier, [&] { return opens(queue() / "x", O_RDWR | O_CREAT); }), 0);
    EXPECT_EQ(attempt(Role::Courier, [&] { return ::unlink((queue() / "x").c_str()) == 0; }), 0);
    EXPECT_EQ(attempt(Role::Courier, [&] { return opens(passwords(), O_RDONLY); }), EACCES);
    EXPECT_EQ(attempt(Role::Courier, [&] { return opens("/bin/true", O_RDONLY); }), EACCES);
}

TEST_F(Confine, ACourierConnectsButNeitherServesNorStartsPrograms) {
    const auto connects = [] {
        const int fd = ::socket(AF_INET, SOCK_STREAM, 0);
        sockaddr_in address{};
        address.sin_family = AF_INET;
        address.sin_addr.s_addr = ::htonl(INADDR_LOOPBACK);
        address.sin_port = ::htons(1);
        return fd >= 0 && ::connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0;
    };
    EXPECT_EQ(attempt(Role::Courier, connects), ECONNREFUSED);
    if (kSanitized) return;
    EXPECT_EQ(attempt(Role::Courier, [] { return ::listen(0, 1) == 0; }), -SIGSYS);
    EXPECT_EQ(attempt(Role::Courier, [] { return ::fork() >= 0; }), -SIGSYS);
    const auto program = [] {
        char name[] = "/bin/true";
        char* arguments[] = {name, nullptr};
        return ::execv(name, arguments) == 0;
    };
    EXPECT_EQ(attempt(Role::Courier, program), -SIGSYS);
}

}  // namespace
}  // namespace postrider::daemon
