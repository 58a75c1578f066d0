// Our client against a server that says anything at any time: it ends, it settles each recipient
// once, and takes a message for delivered only when the server has taken recipient and content.
//
// Input: a byte of choices, then what the server sends, in portions parted by NUL; each comes when
// the client has nothing to do but wait.
#include <algorithm>
#include <deque>
#include <string>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>

#include "core/checksum.h"
#include "delivery/handshake.h"
#include "delivery/transaction.h"
#include "fuzz.h"
#include "net/event.h"
#include "net/until.h"

using namespace postrider;

namespace {

/// Both directions of one connection, as its other end sees them.
struct Wire {
    explicit Wire(const boost::asio::any_io_executor& executor) : arrived(executor) {}
    net::Event arrived;
    std::string incoming;
    bool ended = false;
    std::string sent;      ///< By the client.
    std::string received;  ///< By the client.
};

class WireStream final : public net::Stream {
public:
    explicit WireStream(Wire& wire) : wire_(wire) {}
    net::Awaitable<Result<std::size_t>> read_some(std::span<char> into, MonotonicTime) override {
        while (wire_.incoming.empty() && !wire_.ended) {
            wire_.arrived.reset();
            (void)co_await wire_.arrived.wait(net::kNever);
        }
        const std::size_t size = std::min(into.size(), wire_.incoming.size());
        std::copy_n(wire_.incoming.begin(), size, into.begin());
        wire_.received += wire_.incoming.substr(0, size);
        wire_.incoming.erase(0, size);
        co_return size;
    }
    net::Awaitable<Result<void>> write(std::span<const boost::asio::const_buffer> buffers,
                                       MonotonicTime) override {
        for (const auto& buffer : buffers)
            wire_.sent.append(static_cast<const char*>(buffer.data()), buffer.size());
        co_return Result<void>();
    }
    void cancel() override { close(); }
    void close() override {
        wire_.ended = true;
        wire_.arrived.set();
    }

private:
    Wire& wire_;
};

class Content final : public delivery::ContentSource {
public:
    static std::string text() { return "Subject: x\r\n\r\n.dot\r\nMAIL FROM:<e@x>\r\n"; }
    net::Awaitable<Result<std::string>> read_piece(std::uint32_t piece) override {
        co_return piece == 0 ? text() : std::string();
    }
};

queue::Lease lease() {
    queue::Lease lease;
    lease.id = *mail::QueueId::parse("C3444A80215");
    lease.envelope.reverse_path = mail::Address("ann", "desk.example");
    lease.size = lease.content_length = Content::text().size();
    lease.longest_line = 20;
    Checksum checksum;
    checksum.add(Content::text());
    lease.checksum = checksum.value();
    for (const char* name : {"bob", "eve"}) {
        queue::QueuedRecipient one;
        one.ordinal = static_cast<std::uint32_t>(lease.recipients.size());
        one.recipient = mail::Recipient(mail::Address(name, "corp.example"));
        lease.recipients.push_back(one);
    }
    return lease;
}

struct Run {
    bool finished = false;
    bool has_session = false;
    delivery::Outcomes outcomes;
};

net::Awaitable<void> deliver(Wire& wire, boost::asio::any_io_executor executor, bool with_login,
                             const queue::Lease& lease, Run& run) {
    static const SystemClock clock;
    static tls::Client no_tls(tls::Material(), clock);
    CapturedLog lines;
    const Log log(lines, "smtp");
    delivery::SessionOptions options;
    options.helo_name = options.myhostname = "desk.example";
    options.sasl_auth_enable = true;
    const delivery::TlsChoice plain;
    delivery::Peer peer;
    peer.host = "smtp.example.net";
    peer.address = "192.0.2.7";
    std::optional<delivery::Login> login;
    if (with_login) {
        login.emplace();
        login->user = "ann";
        login->password = Secret("pencil");
    }
    delivery::Session session;
    session.peer = peer;
    {
        delivery::Handshake handshake(options, plain, no_tls, executor, clock, log, peer,
                                      "example.net", "");
        auto trouble = co_await handshake.run(std::make_unique<WireStream>(wire), std::move(login));
        if (trouble) {
            fuzz::require(trouble->disposition.kind != mail::Disposition::Kind::Sent,
                          "trouble is not success");
            run.finished = true;
            co_return;
        }
        session.channel = handshake.take_channel();
        session.capabilities = handshake.capabilities();
    }
    run.has_session = true;
    wire.sent.clear();
    wire.received.clear();
    Content content;
    delivery::TransactionOptions transaction;
    delivery::TransactionMarks marks;
    const std::vector<std::uint32_t> ordinals{0, 1};
    run.outcomes = co_await delivery::transact(session, lease, ordinals, content, transaction,
                                               clock, log, marks);
    for (const std::string& line : lines.lines())
        fuzz::require(!fuzz::has_control(line), "log lines are printable");
    run.finished = true;
}

/// The codes of complete replies, read in the plainest way.
std::deque<int> codes_of(std::string_view text) {
    std::deque<int> codes;
    while (true) {
        const std::size_t end = text.find('\n');
        if (end == text.npos) return codes;
        const std::string_view line = text.substr(0, end);
        text.remove_prefix(end + 1);
        if (line.size() < 3) return codes;
        if (line.size() == 3 || line[3] != '-')
            codes.push_back(std::atoi(std::string(line, 0, 3).c_str()));
    }
}

/// Follows both directions as the server would, and says which recipients it has taken.
std::vector<bool> taken(std::string_view sent, std::deque<int> codes) {
    std::vector<bool> accepted(2);
    std::size_t recipient = 0;
    bool has_sender = false;
    const auto reply = [&] {
        const int code = codes.empty() ? 0 : codes.front();
        if (!codes.empty()) codes.pop_front();
        return code / 100;
    };
    while (!sent.empty()) {
        const std::size_t end = sent.find("\r\n");
        const std::string_view line = sent.substr(0, end);
        sent.remove_prefix(end + 2);
        if (line.starts_with("BDAT ")) {
            const auto size = static_cast<std::size_t>(std::atoi(line.data() + 5));
            fuzz::require(sent.substr(0, size) == Content::text(), "the chunk is the content");
            sent.remove_prefix(size);
            const bool done = reply() == 2 && has_sender;
            return {accepted[0] && done, accepted[1] && done};
        }
        const int code = reply();
        if (line.starts_with("MAIL ")) {
            has_sender = code == 2;
        } else if (line.starts_with("RCPT ") && recipient < 2) {
            accepted[recipient++] = code == 2 && has_sender;
        } else if (line == "DATA" && code == 3) {
            // Nothing but whole content is ended, and nothing but the end is answered.
            const std::size_t dot = ("\r\n" + std::string(sent)).find("\r\n.\r\n");
            if (dot == std::string::npos) return {false, false};
            const bool done = dot > 0 && reply() == 2;
            return {accepted[0] && done, accepted[1] && done};
        }
    }
    return {false, false};
}

void check(const Run& run, const Wire& wire) {
    const auto truth = taken(wire.sent, codes_of(wire.received));
    std::vector<int> seen(2);
    for (const queue::Outcome& outcome : run.outcomes.settled) {
        fuzz::require(outcome.ordinal < 2, "a recipient of the lease");
        ++seen[outcome.ordinal];
        const bool sent = outcome.disposition.kind == mail::Disposition::Kind::Sent;
        if (sent) fuzz::require(truth[outcome.ordinal], "delivered only when the server took it");
        fuzz::require(!fuzz::has_control(outcome.disposition.text), "a printable reason");
    }
    for (const std::uint32_t ordinal : run.outcomes.left_over) ++seen[ordinal];
    const bool once = seen[0] == 1 && seen[1] == 1;
    fuzz::require(once || run.outcomes.stale, "each recipient is settled once");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
    static const queue::Lease message = lease();
    fuzz::Fields fields(fuzz::text_of(bytes, size));
    const bool with_login = (fields.byte() & 1) != 0;
    boost::asio::io_context context;
    Wire wire(context.get_executor());
    Run run;
    boost::asio::co_spawn(
        context, deliver(wire, context.get_executor(), with_login, message, run),
        [](const std::exception_ptr& thrown) { fuzz::require(!thrown, "no exception leaves"); });
    // Whenever nobody can go on, the server speaks; in the end it hangs up.
    for (std::size_t turns = 0; !run.finished; ++turns) {
        fuzz::require(turns <= size + 2, "it ends");
        context.restart();
        context.poll();
        if (run.finished) break;
        wire.incoming += fields.until('\0');
        wire.ended = fields.empty();
        wire.arrived.set();
    }
    wire.ended = true;
    wire.arrived.set();
    context.restart();
    context.run();
    if (run.has_session) check(run, wire);
    return 0;
}
