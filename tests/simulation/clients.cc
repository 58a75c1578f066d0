#include "clients.h"

#include <optional>
#include <string>
#include <vector>

#include <boost/asio/steady_timer.hpp>
#include <fmt/format.h>

#include "net/until.h"
#include "talk.h"

namespace postrider::simulation {
namespace {

using namespace std::chrono_literals;

/// As long as a client should wait for the answer to its final dot (RFC 5321 4.5.3.2.6).
constexpr auto kPatience = 10min;

net::Awaitable<void> pass(Duration time) {
    boost::asio::steady_timer timer(co_await boost::asio::this_coro::executor);
    timer.expires_after(time);
    (void)co_await timer.async_wait(boost::asio::as_tuple(boost::asio::use_awaitable));
}

std::string stuffed(std::string_view content) {
    std::string text;
    bool at_line_begin = true;
    for (const char c : content) {
        if (at_line_begin && c == '.') text += '.';
        text += c;
        at_line_begin = c == '\n';
    }
    return text;
}

}  // namespace

/// One connection, several messages.
class Clients::Session {
public:
    Session(Clients& owner, std::unique_ptr<net::Stream> stream, std::string name)
        : owner_(owner), world_(owner.world_), talk_(std::move(stream)), name_(std::move(name)) {}

    net::Awaitable<void> run() {
        co_await converse();
        world_.note(name_, "gone");
    }

private:
    struct Reply {
        int code = 0;
        std::string text;
    };

    net::Awaitable<void> converse() {
        const auto greeting = co_await reply();
        if (!greeting || greeting->code != 220) co_return;
        const bool went = co_await say("EHLO client.example\r\n");
        if (!went) co_return;
        const auto hello = co_await reply();
        if (!hello || hello->code != 250) co_return;
        const auto count = 1 + world_.below(static_cast<std::uint64_t>(owner_.plan_.messages_max));
        for (std::uint64_t i = 0; i < count; ++i) {
            bool go_on = false;
            go_on = co_await send_one();
            if (!go_on) co_return;
            if (world_.chance(0.2)) co_await pass(world_.between(0s, 30s));
        }
        if (world_.chance(0.3)) co_return;
        const bool parted = co_await say("QUIT\r\n");
        if (parted) (void)co_await reply();
    }

    /// One transaction, or a beginning of it. False: the connection is over.
    net::Awaitable<bool> send_one() {
        const Plan& plan = owner_.plan_;
        const bool trouble = !world_.calm && world_.chance(plan.client_trouble);
        const bool pipelined = world_.chance(0.5);
        const bool chunks = world_.chance(0.4);
        const std::size_t number = owner_.ledger_.open();
        Submitted mail = make_mail(number);
        std::vector<std::string> commands;
        commands.push_back(fmt::format("MAIL FROM:<{}>\r\n", mail.from));
        for (const std::string& to : mail.recipients) {
            commands.push_back(fmt::format("RCPT TO:<{}>\r\n", to));
        }
        const std::vector<std::string> wanted = std::exchange(mail.recipients, {});
        if (pipelined) {
            std::string all;
            for (const std::string& one : commands) all += one;
            const bool went = co_await say(all);
            if (!went) co_return false;
        }
        for (std::size_t i = 0; i < commands.size(); ++i) {
            if (!pipelined) {
                const bool went = co_await say(commands[i]);
                if (!went) co_return false;
            }
            const auto answer = co_await reply();
            if (!answer || answer->code == 421) co_return false;
            if (i == 0 && answer->code != 250 && !pipelined) co_return true;
            if (i > 0 && answer->code == 250) mail.recipients.push_back(wanted[i - 1]);
        }
        if (mail.recipients.empty() || (trouble && world_.chance(0.3))) {
            if (trouble) world_.fault("client resets");
            const bool went = co_await say("RSET\r\n");
            if (!went) co_return false;
            const auto answer = co_await reply();
            co_return answer && answer->code == 250;
        }
        bool go_on = false;
        if (chunks) {
            go_on = co_await send_chunks(number, std::move(mail), trouble);
        } else {
            go_on = co_await send_data(number, std::move(mail), trouble);
        }
        co_return go_on;
    }

    net::Awaitable<bool> send_data(std::size_t number, Submitted mail, bool trouble) {
        const bool went = co_await say("DATA\r\n");
        if (!went) co_return false;
        const auto go = co_await reply();
        if (!go || go->code == 421) co_return false;
        if (go->code != 354) co_return true;
        const std::string text = stuffed(mail.content) + ".\r\n";
        if (trouble) {
            co_await give_up_within(text);
            co_return false;
        }
        owner_.ledger_.submit(number, std::move(mail));
        world_.note(name_, fmt::format("message {}: {} bytes", number, text.size()));
        const bool sent = co_await say(text);
        if (!sent) co_return false;
        co_return co_await hear_verdict(number);
    }

    net::Awaitable<bool> send_chunks(std::size_t number, Submitted mail, bool trouble) {
        const std::string content = mail.content;
        const std::size_t parts = 1 + static_cast<std::size_t>(world_.below(3));
        std::size_t sent = 0;
        for (std::size_t part = 0; part + 1 < parts; ++part) {
            const auto size = static_cast<std::size_t>(world_.below(content.size() - sent)) + 1;
            std::string text = fmt::format("BDAT {}\r\n", size);
            text += content.substr(sent, size);
            sent += size;
            const bool went = co_await say(text);
            if (!went) co_return false;
            const auto answer = co_await reply();
            if (!answer || answer->code != 250) co_return false;
            if (sent == content.size()) break;
        }
        std::string text = fmt::format("BDAT {} LAST\r\n", content.size() - sent);
        text += content.substr(sent);
        if (trouble) {
            co_await give_up_within(text);
            co_return false;
        }
        owner_.ledger_.submit(number, std::move(mail));
        world_.note(name_, fmt::format("message {}: {} bytes in chunks", number, content.size()));
        const bool sent_all = co_await say(text);
        if (!sent_all) co_return false;
        co_return co_await hear_verdict(number);
    }

    /// The beginning of it, after which the client vanishes or falls silent.
    net::Awaitable<void> give_up_within(std::string text) {
        text.resize(static_cast<std::size_t>(world_.below(text.size())));
        const bool said = co_await say(text);
        if (world_.chance(0.5)) {
            world_.fault("client vanishes", name_);
            if (said) co_await pass(world_.between(0s, 1s));
            if (world_.chance(0.5)) Wire::of(talk_.stream())->cut();
        } else {
            world_.fault("client falls silent", name_);
            co_await pass(20min);
        }
    }

    net::Awaitable<bool> hear_verdict(std::size_t number) {
        const auto verdict = co_await reply();
        if (!verdict) {
            world_.note(name_, fmt::format("message {}: no answer", number));
            co_return false;
        }
        world_.note(name_, fmt::format("message {}: {} {}", number, verdict->code, verdict->text));
        if (verdict->code != 250) {
            owner_.ledger_.refused(number);
            co_return verdict->code != 421;
        }
        constexpr std::string_view kQueued = "queued as ";
        const std::size_t at = verdict->text.find(kQueued);
        std::string id = at == std::string::npos ? "?" : verdict->text.substr(at + kQueued.size());
        owner_.ledger_.accepted(number, std::move(id));
        co_return true;
    }

    Submitted make_mail(std::size_t number) {
        const Plan& plan = owner_.plan_;
        Submitted mail;
        mail.from = fmt::format("sender{}@desk.example", world_.below(3));
        const auto recipients = 1 + world_.below(static_cast<std::uint64_t>(plan.recipients_max));
        for (std::uint64_t i = 0; i < recipients; ++i) {
            mail.recipients.push_back(fmt::format("r{}@there{}.example", i, world_.below(2)));
        }
        mail.content = fmt::format(
            "X-Sim: {}\r\nFrom: {}\r\nTo: everybody@there.example\r\nSubject: simulated {}\r\n"
            "Date: Sun, 22 Nov 2026 14:00:00 +0000\r\nMessage-ID: <{}@client.example>\r\n\r\n",
            number, mail.from, number, number);
        const auto size = static_cast<std::size_t>(world_.below(plan.content_max));
        while (mail.content.size() < size) {
            switch (world_.below(6)) {
                case 0:
                    mail.content += ".\r\n";
                    break;
                case 1:
                    mail.content += "..two\r\n";
                    break;
                case 2:
                    mail.content += "\r\n";
                    break;
                default:
                    mail.content += std::string(1 + world_.below(200), 'x') + "\r\n";
            }
        }
        return mail;
    }

    net::Awaitable<std::optional<Reply>> reply() {
        Reply whole;
        for (;;) {
            const auto line = co_await talk_.line(world_.now() + kPatience);
            if (!line || line->size() < 5) co_return std::nullopt;
            whole.code = std::atoi(line->c_str());
            whole.text = line->substr(4, line->size() - 6);
            if ((*line)[3] != '-') break;
        }
        co_return whole;
    }

    net::Awaitable<bool> say(std::string_view text) {
        co_return co_await talk_.say(text, world_.now() + kPatience);
    }

    Clients& owner_;
    World& world_;
    Talk talk_;
    std::string name_;
};

Clients::Clients(World& world, const Plan& plan, Ledger& ledger, Connect connect)
    : world_(world),
      plan_(plan),
      ledger_(ledger),
      connect_(std::move(connect)),
      sessions_(world.outside().executor(), Log(unheard_, "client")) {}

void Clients::start() {
    for (int i = 0; i < plan_.clients; ++i) {
        ++coming_;
        world_.after(world_.between(Duration(0), plan_.arrivals), [this, i] {
            --coming_;
            const std::string name = fmt::format("client#{}", i);
            WireManner manner = plan_.wire;
            if (!world_.calm && world_.chance(plan_.client_trouble / 3)) {
                manner.cut_after[world_.below(2)] = world_.below(2000);
            }
            auto stream = connect_(manner);
            if (!stream) return world_.note(name, "nobody listens");
            auto serve = [](Clients& owner, std::unique_ptr<net::Stream> over,
                            std::string called) -> net::Awaitable<void> {
                Session session(owner, std::move(over), std::move(called));
                co_await session.run();
            };
            sessions_.spawn(serve(*this, std::move(stream), name), name);
        });
    }
}

}  // namespace postrider::simulation
