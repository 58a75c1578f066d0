// The store on a damaged disk: it opens or says why not, ends in bounded time, and what it hands
// out is either damaged in a way that is seen before sending, or what was once accepted.
//
// Input: a byte whose lowest bit says that the file is cut short, the next that it is the log
// instead of the database; then for each damage three bytes of place and one that is combined with
// what is there.
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

#include <sys/stat.h>

#include "core/checksum.h"
#include "fuzz.h"
#include "queue/spool.h"
#include "queue/testing/samples.h"

using namespace postrider;

namespace {

constexpr int kMessages = 3;

std::string content(int number) {
    return "Subject: " + std::to_string(number) + "\r\n\r\n" + std::string(2000, 'x') + "\r\n";
}

std::filesystem::path folder() {
    static const queue::testing::TemporaryFolder made;
    return made.path();
}

Result<std::unique_ptr<queue::Spool>> open_store(const Clock& clock, const Log& log) {
    queue::Spool::Options options;
    options.directory = folder();
    options.free_space_floor = 0;
    options.log_reserve = 64L * 1024;  // Writing twelve megabytes would be most of the work.
    return queue::Spool::open(options, clock, log);
}

std::string bytes_of(const char* file) {
    std::ifstream in(folder() / file, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
}

struct Files {
    std::string database;
    std::string log;
};

void store(queue::Spool& spool, const Clock& clock, int number) {
    fuzz::require(spool.begin().has_value(), "a transaction begins");
    const auto message = queue::testing::message(*spool.reserve(1), clock.now(),
                                                 {"b@x.example", "c@y.example"}, content(number));
    fuzz::require(spool.commit(message, 0, content(number)).has_value(), "a message");
    fuzz::require(spool.commit_transaction().has_value(), "it is stored");
}

/// What a killed process leaves: all messages but the last in the database, that one in the log.
Files whole_store(const Clock& clock, const Log& log) {
    ::umask(077);
    auto spool = open_store(clock, log);
    fuzz::require(spool.has_value(), "a new store opens");
    for (int i = 0; i + 1 < kMessages; ++i) store(**spool, clock, i);
    spool->reset();
    spool = open_store(clock, log);
    fuzz::require(spool.has_value(), "it opens again");
    store(**spool, clock, kMessages - 1);
    return {bytes_of("queue.db"), bytes_of("queue.db-wal")};
}

void write_store(const Files& files) {
    std::filesystem::remove(folder() / "queue.db-shm");
    std::ofstream(folder() / "queue.db", std::ios::binary) << files.database;
    std::ofstream(folder() / "queue.db-wal", std::ios::binary) << files.log;
}

void check_lease(queue::Spool& spool, const queue::Lease& lease) {
    for (const queue::QueuedRecipient& one : lease.recipients) {
        fuzz::require(!fuzz::has_control(mail::internal(one.recipient.address)),
                      "addresses are printable");
        fuzz::require(!one.recipient.address.is_null(), "and not null");
    }
    std::string text;
    for (std::uint32_t piece = 0; piece < 64; ++piece) {
        const auto bytes = spool.read_piece(lease.number, piece);
        if (!bytes || bytes->empty()) break;
        text += *bytes;
    }
    Checksum checksum;
    checksum.add(text);
    if (text.size() != lease.content_length || checksum.value() != lease.checksum) return;
    bool known = false;
    for (int i = 0; i < kMessages; ++i) known = known || text == content(i);
    fuzz::require(known, "content that would be sent is content that was accepted");
}

void use(queue::Spool& spool, bool whole) {
    (void)spool.check();
    std::uint64_t after = 0;
    for (int batches = 0; batches < 10; ++batches) {
        const auto listed = spool.list(after, 2);
        if (!listed || listed->empty()) break;
        fuzz::require(listed->back().number > after, "the list goes on");
        after = listed->back().number;
    }
    (void)spool.next_due();
    (void)spool.counts();
    if (!spool.begin()) return;
    const auto leases = spool.lease_due(10);
    fuzz::require(!whole || (leases && leases->size() == kMessages), "without damage all is there");
    if (spool.commit_transaction() && leases) {
        for (const queue::Lease& lease : *leases) check_lease(spool, lease);
    }
    if (!spool.begin()) return;
    (void)spool.remove({});
    (void)spool.collect_garbage();
    (void)spool.commit_transaction();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
    static const ManualClock clock;
    static CapturedLog lines;
    static const Log log(lines, "qmgr");
    static const Files whole = whole_store(clock, log);

    fuzz::Fields fields(fuzz::text_of(bytes, size));
    Files files = whole;
    const std::uint8_t kind = fields.byte();
    std::string& damaged = (kind & 2) != 0 ? files.log : files.database;
    for (int damages = 0; damages < 64 && !fields.empty(); ++damages) {
        const std::size_t place =
            (fields.byte() + 256UL * fields.byte() + 65536UL * fields.byte()) % damaged.size();
        if ((kind & 1) != 0 && damages == 0) {
            damaged.resize(place + 1);
        } else {
            damaged[place] = static_cast<char>(damaged[place] ^ fields.byte());
        }
    }
    write_store(files);
    auto spool = open_store(clock, log);
    if (spool) {
        use(**spool, size == 0);
    } else {
        fuzz::require(size != 0 && !spool.error().message.empty(), "an error has a reason");
    }
    lines.clear();
    return 0;
}
