// The store on a damaged disk: it opens or says why not, ends in bounded time, and what it hands
// out is either damaged in a way that is seen before sending, or what was once accepted.
//
// Input: a byte that cuts the file short if it is odd, then for each damage three bytes of place
// and one that is combined with what is there.
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

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
    return queue::Spool::open(options, clock, log);
}

/// A store with a few messages, as the bytes of its file.
std::string whole_store(const Clock& clock, const Log& log) {
    {
        auto spool = open_store(clock, log);
        fuzz::require(spool.has_value(), "a new store opens");
        fuzz::require((*spool)->begin().has_value(), "a transaction begins");
        const auto first = (*spool)->reserve(kMessages);
        for (int i = 0; i < kMessages; ++i) {
            const auto message =
                queue::testing::message(*first + static_cast<std::uint64_t>(i), clock.now(),
                                        {"b@x.example", "c@y.example"}, content(i));
            fuzz::require((*spool)->commit(message, 0, content(i)).has_value(), "a message");
        }
        fuzz::require((*spool)->commit_transaction().has_value(), "the messages are stored");
    }
    std::ifstream in(folder() / "queue.db", std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
}

void write_store(const std::string& bytes) {
    for (const char* file : {"queue.db-wal", "queue.db-shm"})
        std::filesystem::remove(folder() / file);
    std::ofstream(folder() / "queue.db", std::ios::binary) << bytes;
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

void use(queue::Spool& spool) {
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
    static const std::string whole = whole_store(clock, log);

    fuzz::Fields fields(fuzz::text_of(bytes, size));
    std::string damaged = whole;
    const bool cut = (fields.byte() & 1) != 0;
    for (int damages = 0; damages < 64 && !fields.empty(); ++damages) {
        const std::size_t place =
            (fields.byte() + 256UL * fields.byte() + 65536UL * fields.byte()) % damaged.size();
        if (cut && damages == 0) {
            damaged.resize(place + 1);
        } else {
            damaged[place] = static_cast<char>(damaged[place] ^ fields.byte());
        }
    }
    write_store(damaged);
    auto spool = open_store(clock, log);
    if (spool) {
        use(**spool);
    } else {
        fuzz::require(!spool.error().message.empty(), "an error has a reason");
    }
    lines.clear();
    return 0;
}
