// A disk that is really full: a small tmpfs in a mount namespace of its own (D6 to D8, D11, R6,
// R8).
#include <csignal>
#include <functional>

#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "queue/spool.h"
#include "queue/testing/samples.h"

namespace postrider::queue {
namespace {

using Kind = mail::Disposition::Kind;

/// Runs it in a process of its own; what it complains about, or "died".
std::string in_a_child(const std::function<std::string()>& body) {
    int ends[2];
    if (::pipe(ends) != 0) return "no pipe";
    const pid_t child = ::fork();
    if (child == 0) {
        const std::string said = body();
        if (::write(ends[1], said.data(), said.size()) < 0) ::_exit(2);
        ::_exit(0);
    }
    ::close(ends[1]);
    std::string said;
    char buffer[4096];
    for (ssize_t got = 0; (got = ::read(ends[0], buffer, sizeof buffer)) > 0;) {
        said.append(buffer, static_cast<std::size_t>(got));
    }
    ::close(ends[0]);
    int status = 0;
    ::waitpid(child, &status, 0);
    return status == 0 ? said : said + " died, status " + std::to_string(status);
}

/// A queue, words for what happens to it, and a list of what went wrong.
class Scene {
public:
    explicit Scene(std::filesystem::path folder) : folder_(std::move(folder)) {}

    bool open() {
        spool.reset();
        Spool::Options options;
        options.directory = folder_;
        options.free_space_floor = floor;
        auto opened = Spool::open(options, clock_, Log(lines_, "qmgr"));
        if (opened) spool = std::move(*opened);
        reason = opened ? "" : opened.error().message;
        return spool != nullptr;
    }
    Result<void> submit(std::size_t size) {
        if (auto begun = spool->begin(); !begun) return begun;
        const auto number = spool->reserve(1);
        Result<void> done;
        if (!number) done = Unexpected(number.error());
        const std::string content(size, 'x');
        if (done) {
            done = spool->commit(
                testing::message(*number, clock_.now(), {"b@example.com"}, content), 0, content);
        }
        const auto committed = spool->commit_transaction();
        return done ? committed : done;
    }
    std::vector<Lease> lease() {
        (void)spool->begin();
        auto leases = spool->lease_due(100000);
        (void)spool->commit_transaction();
        return leases ? std::move(*leases) : std::vector<Lease>();
    }
    Result<void> settle(const Lease& lease, Kind kind) {
        Settlement settlement;
        settlement.number = lease.number;
        settlement.outcomes.push_back(testing::outcome(0, kind));
        settlement.outcomes[0].disposition.text = std::string(300, 'r');
        settlement.finished = true;
        settlement.next_attempt = clock_.now() + std::chrono::minutes{30};
        if (auto begun = spool->begin(); !begun) return begun;
        const auto settled = spool->settle(settlement);
        const auto committed = spool->commit_transaction();
        if (!settled) return Unexpected(settled.error());
        return committed;
    }
    /// Not a byte is left afterwards.
    void fill_disk() {
        const int file = ::open((folder_ / "filler").c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
        const std::string block(1 << 20, 'f');
        for (std::size_t size = block.size(); size > 0;) {
            if (::write(file, block.data(), size) <= 0) size /= 2;
        }
        ::close(file);
    }
    void free_disk() { std::filesystem::remove(folder_ / "filler"); }
    void expect(bool holds, const std::string& what) {
        if (!holds) wrong += what + "; ";
    }

    std::unique_ptr<Spool> spool;
    std::uint64_t floor = 0;
    std::string wrong;
    std::string reason;

private:
    std::filesystem::path folder_;
    CapturedLog lines_;
    ManualClock clock_;
};

class FullDisk : public ::testing::Test {
protected:
    void SetUp() override {
        if (::geteuid() != 0) GTEST_SKIP() << "needs root, to mount a small file system";
        const std::string made = in_a_child([] {
            return ::unshare(CLONE_NEWNS) == 0 ? std::string() : std::string("no namespace");
        });
        if (!made.empty()) GTEST_SKIP() << made;
    }
    /// What went wrong on a file system of so many megabytes.
    std::string on_tmpfs(int megabytes, const std::function<void(Scene&)>& play) {
        return in_a_child([&]() -> std::string {
            const std::string size = "mode=700,size=" + std::to_string(megabytes) + "m";
            if (::unshare(CLONE_NEWNS) != 0 ||
                ::mount("none", "/", "none", MS_REC | MS_PRIVATE, nullptr) != 0 ||
                ::mount("tmpfs", folder_.path().c_str(), "tmpfs", 0, size.c_str()) != 0) {
                return "no tmpfs";
            }
            Scene scene(folder_.path());
            play(scene);
            scene.spool.reset();
            return scene.wrong;
        });
    }
    testing::TemporaryFolder folder_;
};

TEST_F(FullDisk, OutcomesAreRecordedAndANewStartWorks) {
    const auto play = [](Scene& scene) {
        scene.expect(scene.open(), "opens");
        for (int i = 0; i < 400; ++i) scene.expect(scene.submit(9000).has_value(), "takes mail");
        const auto leases = scene.lease();
        scene.expect(leases.size() == 400, "leases all");
        scene.fill_disk();
        scene.floor = 1 << 20;

        const auto refused = scene.submit(50000);
        scene.expect(!refused && refused.error().code == ErrorCode::DiskFull,
                     "says that it is full");
        std::size_t recorded = 0;
        for (std::size_t i = 0; i < leases.size(); ++i) {
            // What is refused now may be asked for again once the log has been copied.
            bool settled = false;
            for (int attempt = 0; attempt < 2 && !settled; ++attempt) {
                settled =
                    scene.settle(leases[i], i % 2 == 0 ? Kind::Sent : Kind::Deferred).has_value();
            }
            recorded += settled ? 1 : 0;
            if (i % 50 == 0) scene.expect(scene.spool->checkpoint(false).has_value(), "copies");
        }
        scene.expect(recorded == 400, "records " + std::to_string(recorded) + " of 400 outcomes");

        scene.expect(scene.open(), "opens on a full disk: " + scene.reason);
        if (scene.spool == nullptr) return;
        const auto list = scene.spool->list(0, 1000);
        scene.expect(list && list->size() == 200, "finds the outcomes again");
        const auto still = scene.submit(10);
        scene.expect(!still && still.error().code == ErrorCode::DiskFull,
                     "refuses below the floor");
        scene.free_disk();
        scene.expect(scene.submit(9000).has_value(), "takes mail again");
        scene.expect(scene.spool->check().has_value(), "is whole");
    };
    EXPECT_EQ(on_tmpfs(30, play), "");
}

TEST_F(FullDisk, ControlWithoutTheReserveAFullDiskStopsEverything) {
    const auto play = [this](Scene& scene) {
        scene.expect(scene.open(), "opens");
        for (int i = 0; i < 50; ++i) scene.expect(scene.submit(9000).has_value(), "takes mail");
        scene.spool.reset();
        std::filesystem::remove(folder_.path() / "queue.db-wal");
        scene.fill_disk();
        scene.expect(!scene.open(), "cannot open");
    };
    EXPECT_EQ(on_tmpfs(30, play), "");
}

TEST_F(FullDisk, ManySmallMessagesUntilItIsFullAndNoneIsLost) {
    const auto play = [](Scene& scene) {
        scene.expect(scene.open(), "opens");
        std::size_t accepted = 0;
        for (int i = 0; i < 20000; ++i) {
            const auto done = scene.submit(3000);
            if (!done) {
                scene.expect(done.error().code == ErrorCode::DiskFull, done.error().message);
                break;
            }
            ++accepted;
            if (i % 100 == 0) (void)scene.spool->checkpoint(false);
        }
        scene.expect(accepted > 100 && accepted < 20000, "is full at some time");
        scene.expect(scene.open(), "opens: " + scene.reason);
        if (scene.spool == nullptr) return;
        const auto leases = scene.lease();
        scene.expect(leases.size() == accepted, "has all that it accepted");
    };
    EXPECT_EQ(on_tmpfs(16, play), "");
}

TEST(FileSizeLimit, IsLikeAFullDisk) {
    const testing::TemporaryFolder folder;
    EXPECT_EQ(in_a_child([&] {
                  ::signal(SIGXFSZ, SIG_IGN);  // As the workers do (D11).
                  Scene scene(folder.path());
                  scene.expect(scene.open(), "opens");
                  scene.expect(scene.submit(9000).has_value(), "takes mail");
                  const auto leases = scene.lease();
                  rlimit limit{};
                  ::getrlimit(RLIMIT_FSIZE, &limit);
                  const rlim_t before = limit.rlim_cur;
                  limit.rlim_cur = 5 << 20;
                  ::setrlimit(RLIMIT_FSIZE, &limit);
                  Result<void> done;
                  for (int i = 0; i < 50 && done; ++i) done = scene.submit(1000000);
                  scene.expect(!done && done.error().code == ErrorCode::DiskFull,
                               "says that it is full" + (done ? "" : done.error().message));
                  scene.expect(scene.settle(leases[0], Kind::Sent).has_value(), "records outcomes");
                  limit.rlim_cur = before;
                  ::setrlimit(RLIMIT_FSIZE, &limit);
                  scene.expect(scene.submit(1000000).has_value(), "takes mail again");
                  scene.spool.reset();
                  return scene.wrong;
              }),
              "");
}

}  // namespace
}  // namespace postrider::queue
