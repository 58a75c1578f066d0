// The process is killed at any instant (D1): nothing accepted is missing, nothing settled is back.
#include <csignal>
#include <random>
#include <set>
#include <string>

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <gtest/gtest.h>

#include "queue/spool.h"
#include "queue/testing/samples.h"

namespace postrider::queue {
namespace {

using Kind = mail::Disposition::Kind;

Result<std::unique_ptr<Spool>> open_spool(const std::filesystem::path& folder, const Clock& clock,
                                          CapturedLog& lines) {
    Spool::Options options;
    options.directory = folder;
    options.free_space_floor = 0;
    return Spool::open(options, clock, Log(lines, "qmgr"));
}

struct Entry {
    char what;  ///< 'a' accepted, 'i' about to be settled, 's' settled.
    std::uint64_t number;
};

void write_down(int book, const Entry& entry) {
    if (::write(book, &entry, sizeof entry) != sizeof entry) ::_exit(4);
}

/// Submits and delivers until it is killed; writes down each thing once it is promised.
[[noreturn]] void live(const std::filesystem::path& folder, int book, unsigned seed) {
    std::mt19937 random(seed);
    CapturedLog lines;
    const SystemClock clock;
    auto spool = open_spool(folder, clock, lines);
    if (!spool) ::_exit(1);
    Spool& store = **spool;
    for (;;) {
        std::vector<Entry> promised;
        if (!store.begin()) ::_exit(2);
        const unsigned count = 1 + random() % 4;
        const auto first = store.reserve(count);
        for (unsigned i = 0; i < count; ++i) {
            const std::string content(1 + random() % 9000, 'x');
            const auto message =
                testing::message(*first + i, clock.now(), {"b@example.com"}, content);
            if (store.commit(message, 0, content)) promised.push_back({'a', *first + i});
        }
        const auto leases = store.lease_due(random() % 4);
        for (const Lease& lease : *leases) {
            Settlement settlement;
            settlement.number = lease.number;
            settlement.outcomes.push_back(testing::outcome(0, Kind::Sent));
            settlement.finished = true;
            write_down(book, {'i', lease.number});
            if (store.settle(settlement)) promised.push_back({'s', lease.number});
        }
        if (random() % 3 == 0) (void)store.collect_garbage();
        if (!store.commit_transaction()) ::_exit(3);
        for (const Entry& entry : promised) write_down(book, entry);
        (void)store.checkpoint(random() % 4 == 0);
    }
}

TEST(Crash, AKillAtAnyInstantLosesNothing) {
    const unsigned seed = std::random_device{}();
    SCOPED_TRACE("seed " + std::to_string(seed));
    std::mt19937 random(seed);
    testing::TemporaryFolder folder;
    const std::string book_file = (folder.path() / "book").string();
    std::set<std::uint64_t> accepted;
    std::set<std::uint64_t> intended;
    std::set<std::uint64_t> settled;

    for (int round = 0; round < 12; ++round) {
        const int book = ::open(book_file.c_str(), O_RDWR | O_CREAT | O_TRUNC, 0600);
        const pid_t child = ::fork();
        if (child == 0) live(folder.path(), book, random());
        ::usleep(20000 + random() % 120000);
        ::kill(child, SIGKILL);
        int status = 0;
        ::waitpid(child, &status, 0);
        ASSERT_TRUE(WIFSIGNALED(status)) << "ended by itself, status " << WEXITSTATUS(status);
        ::lseek(book, 0, SEEK_SET);
        for (Entry entry{}; ::read(book, &entry, sizeof entry) == sizeof entry;) {
            (entry.what == 'a'   ? accepted
             : entry.what == 'i' ? intended
                                 : settled)
                .insert(entry.number);
        }
        ::close(book);

        CapturedLog lines;
        const SystemClock clock;
        const auto spool = open_spool(folder.path(), clock, lines);
        ASSERT_TRUE(spool) << spool.error().message;
        ASSERT_TRUE((*spool)->check());
        for (const std::string& line : lines.lines()) {
            ASSERT_EQ(line.find("older than it was"), std::string::npos) << line;
        }
        std::set<std::uint64_t> there;
        const auto list = (*spool)->list(0, 1000000);
        for (const auto& each : *list) there.insert(each.number);
        for (const std::uint64_t number : settled) ASSERT_FALSE(there.contains(number)) << number;
        for (const std::uint64_t number : accepted) {
            ASSERT_TRUE(there.contains(number) || intended.contains(number)) << number;
        }
        for (const std::uint64_t number : intended) {
            if (!there.contains(number)) settled.insert(number);
        }
    }
    EXPECT_FALSE(accepted.empty());
    EXPECT_FALSE(settled.empty());
}

}  // namespace
}  // namespace postrider::queue
