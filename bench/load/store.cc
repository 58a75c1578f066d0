// Drives the store without the rest of the program, for measurements.
//
//   store fill  DIRECTORY COUNT [DUE_IN]      adds COUNT deferred messages, due in DUE_IN
//                                                   seconds (1800) and the half hour after it
//   store churn DIRECTORY COUNT [GROUP SIZE]  takes in and settles COUNT messages of SIZE
//                                                   bytes, GROUP (10) of them in a transaction
//   store probe DIRECTORY                     opens it and asks what the daemon asks
//
// DIRECTORY is a queue_directory; no daemon may own it. Prints what it took, a figure a line.
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string>

#include <sys/resource.h>
#include <unistd.h>

#include <fmt/format.h>

#include "core/checksum.h"
#include "core/log_targets.h"
#include "queue/spool.h"

namespace {

using namespace postrider;
using Kind = mail::Disposition::Kind;

constexpr std::size_t kGroupOfFill = 2000;

[[noreturn]] void give_up(const Error& error) {
    fmt::print(stderr, "store: {}\n", error.message);
    std::exit(1);
}

template <typename T>
T must(Result<T> result) {
    if (!result) give_up(result.error());
    if constexpr (!std::is_void_v<T>) return std::move(*result);
}

double seconds_since(std::chrono::steady_clock::time_point start) {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

std::string content_of(std::size_t size) {
    std::string content = "From: a@example.org\r\nTo: b@example.com\r\nSubject: load\r\n\r\n";
    while (content.size() + 2 < size) content += 'x';
    return content + "\r\n";
}

queue::NewMessage message_of(std::uint64_t number, WallTime now, std::string_view content) {
    queue::NewMessage message;
    message.ticket = queue::Ticket::make(number, now, false);
    message.arrival = now;
    message.envelope.reverse_path = *mail::parse_address("a@example.org");
    const std::string to = fmt::format("user{}@corp.example", number);
    message.envelope.recipients.emplace_back(*mail::parse_address(to));
    message.client = "localhost[127.0.0.1]";
    message.size = content.size();
    message.content_length = content.size();
    Checksum checksum;
    checksum.add(content);
    message.checksum = checksum.value();
    message.longest_line = 70;
    return message;
}

void take_in(queue::Spool& spool, WallTime now, std::size_t count, const std::string& content) {
    must(spool.begin());
    const std::uint64_t first = must(spool.reserve(static_cast<std::uint32_t>(count)));
    for (std::size_t i = 0; i < count; ++i) {
        must(spool.commit(message_of(first + i, now, content), 0, content));
    }
    must(spool.commit_transaction());
}

/// Every message that is due, up to `limit`, ends as `kind`.
void settle(queue::Spool& spool, std::size_t limit, Kind kind, WallTime next) {
    must(spool.begin());
    const auto leases = must(spool.lease_due(limit));
    must(spool.commit_transaction());
    must(spool.begin());
    for (const queue::Lease& lease : leases) {
        queue::Settlement settlement;
        settlement.number = lease.number;
        queue::Outcome outcome;
        outcome.disposition.kind = kind;
        outcome.disposition.status = mail::EnhancedStatus(kind == Kind::Sent ? 2 : 4, 0, 0);
        outcome.disposition.text = "connect to smtp.example.net[192.0.2.1]:465: Connection refused";
        settlement.outcomes.push_back(outcome);
        settlement.finished = true;
        settlement.next_attempt = next;
        must(spool.settle(settlement));
    }
    must(spool.commit_transaction());
}

void tidy(queue::Spool& spool, bool idle) {
    must(spool.begin());
    const bool more = must(spool.collect_garbage());
    must(spool.commit_transaction());
    if (more && idle) return tidy(spool, idle);
    must(spool.checkpoint(idle));
}

void fill(queue::Spool& spool, const Clock& clock, std::size_t count, long due_in) {
    const std::string content = content_of(1000);
    const WallTime now = clock.now();
    for (std::size_t done = 0; done < count; done += kGroupOfFill) {
        const std::size_t group = std::min(kGroupOfFill, count - done);
        take_in(spool, now, group, content);
        const auto spread = std::chrono::seconds{1800 * done / count};
        settle(spool, group, Kind::Deferred, now + std::chrono::seconds{due_in} + spread);
        must(spool.checkpoint(false));
    }
}

void churn(queue::Spool& spool, const Clock& clock, std::size_t count, std::size_t group,
           std::size_t size) {
    const std::string content = content_of(size);
    for (std::size_t done = 0; done < count; done += group) {
        take_in(spool, clock.now(), group, content);
        settle(spool, group, Kind::Sent, clock.now());
        tidy(spool, false);
    }
    tidy(spool, true);
}

void probe(queue::Spool& spool) {
    const auto timed = [](const char* what, auto call) {
        const auto start = std::chrono::steady_clock::now();
        call();
        fmt::print("{} {:.6f} s\n", what, seconds_since(start));
    };
    timed("counts", [&] { must(spool.counts()); });
    timed("next_due", [&] { must(spool.next_due()); });
    timed("lease_due", [&] { must(spool.lease_due(50)); });
    timed("first_page", [&] { must(spool.list(0, 100)); });
    timed("next_due_again", [&] { must(spool.next_due()); });
}

std::size_t number(int argc, char** argv, int index, std::size_t otherwise) {
    return index < argc ? std::strtoul(argv[index], nullptr, 10) : otherwise;
}

}  // namespace

int main(int argc, char** argv) {
    const std::string verb = argc > 1 ? argv[1] : "";
    if (argc < 3 || (verb != "fill" && verb != "churn" && verb != "probe")) {
        fmt::print(stderr, "usage: store fill|churn|probe DIRECTORY [COUNT ...]\n");
        return 64;
    }
    StderrTarget console(STDERR_FILENO);
    const SystemClock clock;
    queue::Spool::Options options;
    options.directory = argv[2];
    auto start = std::chrono::steady_clock::now();
    const auto spool = must(queue::Spool::open(options, clock, Log(console, "store")));
    fmt::print("open {:.6f} s\n", seconds_since(start));
    start = std::chrono::steady_clock::now();
    const std::size_t count = number(argc, argv, 3, 1000);
    if (verb == "fill") fill(*spool, clock, count, static_cast<long>(number(argc, argv, 4, 1800)));
    if (verb == "churn") {
        churn(*spool, clock, count, number(argc, argv, 4, 10), number(argc, argv, 5, 1000));
    }
    if (verb == "probe") probe(*spool);
    fmt::print("{} {:.3f} s\n", verb, seconds_since(start));
    struct rusage used {};
    ::getrusage(RUSAGE_SELF, &used);
    fmt::print("memory_peak {} KB\n", used.ru_maxrss);
    return 0;
}
