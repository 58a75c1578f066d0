#include "daemon/service_manager.h"

#include <cstdlib>
#include <cstring>
#include <string>

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <gtest/gtest.h>

namespace postrider::daemon {
namespace {

class ServiceManager : public testing::Test {
protected:
    void SetUp() override { clear(); }
    void TearDown() override { clear(); }

    static void clear() {
        for (const char* name : {"LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES", "NOTIFY_SOCKET"}) {
            ::unsetenv(name);
        }
    }

    /// A manager's end of NOTIFY_SOCKET.
    static UniqueFd listen_at(const std::string& path) {
        UniqueFd socket(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
        sockaddr_un address{};
        address.sun_family = AF_UNIX;
        std::memcpy(address.sun_path, path.data(), path.size());
        if (path.front() == '@') address.sun_path[0] = '\0';
        const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + path.size());
        EXPECT_EQ(::bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), size), 0);
        return socket;
    }

    static std::string heard(const UniqueFd& socket) {
        char text[64] = {};
        const ssize_t size = ::recv(socket.get(), text, sizeof text, MSG_DONTWAIT);
        return size > 0 ? std::string(text, static_cast<std::size_t>(size)) : "";
    }
};

TEST_F(ServiceManager, IsToldByPathAndInTheAbstractNamespace) {
    std::string directory = testing::TempDir() + "notify-XXXXXX";
    ASSERT_NE(::mkdtemp(directory.data()), nullptr);
    const std::string path = directory + "/socket";
    for (const std::string& name : {path, "@postrider-test-" + std::to_string(::getpid())}) {
        const UniqueFd manager = listen_at(name);
        ::setenv("NOTIFY_SOCKET", name.c_str(), 1);
        ASSERT_TRUE(tell_service_manager("READY=1")) << name;
        EXPECT_EQ(heard(manager), "READY=1") << name;
    }
    ::unlink(path.c_str());
    ::rmdir(directory.c_str());
}

TEST_F(ServiceManager, IsNotMissedWhenThereIsNone) {
    EXPECT_TRUE(tell_service_manager("READY=1"));
}

TEST_F(ServiceManager, ThatDoesNotListenIsAnError) {
    for (const char* name : {"/nonexistent/notify", "vsock:2:1", "relative"}) {
        ::setenv("NOTIFY_SOCKET", name, 1);
        EXPECT_FALSE(tell_service_manager("READY=1")) << name;
    }
    ::setenv("NOTIFY_SOCKET", ("/" + std::string(200, 'x')).c_str(), 1);
    EXPECT_FALSE(tell_service_manager("READY=1"));
}

/// In a process of its own, whose descriptors from 3 on are two sockets: how many are taken over.
int taken(const std::string& pid, const char* count) {
    const pid_t child = ::fork();
    if (child == 0) {
        int ends[2];
        if (::socketpair(AF_UNIX, SOCK_STREAM, 0, ends) < 0) ::_exit(100);
        for (const int end : {0, 1}) ::dup2(ends[end], 10 + end);
        for (const int end : {0, 1}) ::dup2(10 + end, 3 + end);
        ::setenv("LISTEN_PID", pid == "own" ? std::to_string(::getpid()).c_str() : pid.c_str(), 1);
        ::setenv("LISTEN_FDS", count, 1);
        const auto handed_over = take_handed_over().sockets;
        for (const UniqueFd& fd : handed_over) {
            if (::fcntl(fd.get(), F_GETFD) != FD_CLOEXEC) ::_exit(101);
        }
        if (std::getenv("LISTEN_FDS") || std::getenv("LISTEN_PID")) ::_exit(102);
        ::_exit(static_cast<int>(handed_over.size()));
    }
    int status = 0;
    ::waitpid(child, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

TEST_F(ServiceManager, HandsDescriptorsToTheProcessItNames) {
    EXPECT_EQ(taken("own", "2"), 2);
    EXPECT_EQ(taken("own", "1"), 1);
    EXPECT_EQ(taken("1", "2"), 0);
    EXPECT_EQ(taken("", "2"), 0);
    EXPECT_EQ(taken("own", "-2"), 0);
    EXPECT_EQ(taken("own", "two"), 0);
    EXPECT_EQ(taken("own", "2 "), 0);
}

}  // namespace
}  // namespace postrider::daemon
