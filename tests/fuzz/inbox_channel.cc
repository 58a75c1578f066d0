// The courier's door for intake, who may be compromised: whatever it is told, only its channel
// ends; what it answers as committed is what is in the queue.
//
// Input: frames of a byte for the type, one for the number (counted from the first that was
// granted), two for the payload's length, and the payload; type 255 sends its payload bare.
#include <string>

#include <sys/socket.h>

#include <boost/asio/io_context.hpp>

#include "core/unique_fd.h"
#include "fuzz.h"
#include "queue/frames.h"
#include "queue/inbox_server.h"
#include "queue/queue.h"
#include "queue/spool.h"
#include "queue/testing/loop.h"

using namespace postrider;

namespace {

/// One for all inputs, each of which leaves it empty: making a store takes longer than most inputs.
struct Courier {
    SystemClock clock;
    CapturedLog lines;
    queue::testing::Loop loop;
    queue::Queue queue{queue::Spool::open_in_memory(clock), loop.executor(), clock,
                       Log(lines, "qmgr"), queue::Queue::Storage::Inline};

    std::uint64_t count() {
        const auto counts = loop.run_once(queue.counts());
        fuzz::require(counts.has_value(), "the queue goes on");
        fuzz::require(counts->active + counts->deferred + counts->hold + counts->dead == 0,
                      "nothing but new mail");
        return counts->incoming;
    }
};

queue::InboxServer::Options options() {
    queue::InboxServer::Options options;
    options.recipients_max = 50;
    return options;
}

struct Peer {
    explicit Peer(UniqueFd socket) : fd(std::move(socket)) {}
    UniqueFd fd;
    std::string heard;
    bool closed = false;

    void hear() {
        char buffer[65536];
        while (!closed) {
            const auto count = ::recv(fd.get(), buffer, sizeof buffer, MSG_DONTWAIT);
            if (count < 0 && errno == EAGAIN) return;
            if (count <= 0) closed = true;
            if (count > 0) heard.append(buffer, static_cast<std::size_t>(count));
        }
    }
    void say(std::string_view bytes) const {
        // What does not fit need not: the server reads no further after a breach.
        (void)!::send(fd.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    }
};

std::string frames_of(fuzz::Fields fields, std::uint64_t first) {
    std::string bytes;
    while (!fields.empty()) {
        const std::uint8_t type = fields.byte();
        const std::uint64_t number = first + fields.byte();
        const std::size_t length = fields.byte() + 256UL * fields.byte();
        std::string payload;
        while (payload.size() < length && !fields.empty())
            payload += static_cast<char>(fields.byte());
        if (type == 255) {
            bytes += payload;
        } else {
            queue::append_frame(bytes, static_cast<queue::FrameType>(type), number, payload);
        }
    }
    return bytes;
}

std::size_t count_of(std::string_view bytes, queue::FrameType type) {
    std::size_t count = 0;
    while (!bytes.empty()) {
        const auto frame = queue::find_frame(bytes);
        fuzz::require(frame && *frame, "the server's frames are whole");
        if ((**frame).type == type) ++count;
        bytes.remove_prefix(queue::kFrameHeader + (**frame).payload.size());
    }
    return count;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
    static Courier courier;
    courier.lines.clear();
    queue::InboxServer server(courier.queue, courier.loop.executor(), courier.clock,
                              Log(courier.lines, "qmgr"), options());
    int fds[2];
    fuzz::require(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) == 0, "a channel");
    Peer peer{UniqueFd(fds[0])};
    server.attach(UniqueFd(fds[1]));
    const bool granted = courier.loop.run_while([&] {
        peer.hear();
        return peer.heard.size() < queue::kFrameHeader + 5;
    });
    fuzz::require(granted, "a peer is served");
    const auto grant = queue::find_frame(peer.heard);
    fuzz::require(grant && *grant && (**grant).type == queue::FrameType::Grant, "a grant");
    fuzz::require(courier.count() == 0, "the input before this one left nothing behind");

    peer.say(frames_of(fuzz::Fields(fuzz::text_of(bytes, size)), (**grant).number));
    ::shutdown(peer.fd.get(), SHUT_WR);
    const bool ended = courier.loop.run_while([&] {
        peer.hear();
        return !peer.closed;
    });
    fuzz::require(ended, "the channel ends");

    const std::uint64_t stored = courier.count();
    fuzz::require(count_of(peer.heard, queue::FrameType::Committed) <= stored,
                  "what was answered is in the queue");
    const auto removed = courier.loop.run_once(courier.queue.remove(std::nullopt));
    fuzz::require(removed && *removed == stored, "and nothing else");
    return 0;
}
