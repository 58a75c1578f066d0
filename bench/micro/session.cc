// What a session that brings one message costs intake: all but sockets, timers and the queue.
#include <algorithm>
#include <cstring>
#include <string>
#include <vector>

#include "config/config.h"
#include "counted.h"
#include "daemon/translate.h"
#include "intake/fakes.h"
#include "intake/smtp_session.h"
#include "net/run.h"

namespace postrider::intake {
namespace {

class Nowhere final : public LogSink {
public:
    void write(Severity, std::string_view, std::string_view text) override {
        benchmark::DoNotOptimize(text.data());
    }
};

/// A client that waits for each reply, as most do.
class Sender : public net::Stream {
public:
    explicit Sender(const std::vector<std::string>& flights) : flights_(flights) {}

    net::Awaitable<Result<std::size_t>> read_some(std::span<char> into, MonotonicTime) override {
        if (rest_.empty() && next_ < flights_.size()) rest_ = flights_[next_++];
        const std::size_t size = std::min(into.size(), rest_.size());
        std::memcpy(into.data(), rest_.data(), size);
        rest_.remove_prefix(size);
        co_return size;
    }
    net::Awaitable<Result<void>> write(std::span<const boost::asio::const_buffer> buffers,
                                       MonotonicTime) override {
        benchmark::DoNotOptimize(buffers.data());
        co_return Result<void>();
    }
    void cancel() override {}
    void close() override {}

private:
    const std::vector<std::string>& flights_;
    std::size_t next_ = 0;
    std::string_view rest_;
};

/// So many messages of 4 KB, and QUIT.
std::vector<std::string> flights(std::int64_t messages) {
    std::string letter =
        "From: <ann@desk.example>\r\nTo: <bob@corp.example>\r\n"
        "Date: Sun, 22 Nov 2026 14:02:35 +0000 (UTC)\r\n"
        "Message-Id: <1.2.3@desk.example>\r\nSubject: a letter\r\n\r\n";
    while (letter.size() + 80 < 4096) letter += std::string(78, 'x') + "\r\n";
    std::vector<std::string> flights{"EHLO desk.example\r\n"};
    for (std::int64_t i = 0; i < messages; ++i) {
        flights.insert(flights.end(),
                       {"MAIL FROM:<ann@desk.example>\r\n", "RCPT TO:<bob@corp.example>\r\n",
                        "DATA\r\n", letter + ".\r\n"});
    }
    flights.emplace_back("QUIT\r\n");
    return flights;
}

void session(benchmark::State& state) {
    Nowhere nowhere;
    const Log log(nowhere, "smtpd");
    const auto config = config::Config::parse(
        "myhostname = desk.example\nalias_maps =\nrelayhost = [mx.example]\n", "/etc/postrider");
    if (!config) return state.SkipWithError(config.error().message.c_str());
    const auto cleanup = daemon::cleanup_options(*config, log);
    auto dialogue = daemon::dialogue_options(*config, cleanup.rewrite, log);
    const SessionOptions options = daemon::smtpd_session_options(*config);
    FakeInbox inbox;
    JumpingTimers timers;
    ClientRates rates(daemon::rate_options(*config, log));
    const Services services{dialogue, options, cleanup, inbox, timers, log, &rates};
    const std::vector<std::string> sent = flights(state.range(0));
    boost::asio::io_context loop{1};

    for (auto _ : state) {
        Sender sender(sent);
        Slot slot;
        SmtpSession session(sender, network_client("127.0.0.1", true), services, slot);
        auto task = [](SmtpSession& one) -> net::Awaitable<bool> {
            co_await one.run(false);
            co_return true;
        };
        net::run(loop, task(session));
        inbox.messages.clear();
    }
    state.SetItemsProcessed(state.iterations() * state.range(0));
}
BENCHMARK(session)->Apply(counted)->Arg(1)->Arg(11);

}  // namespace
}  // namespace postrider::intake
