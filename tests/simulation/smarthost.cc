#include "smarthost.h"

#include <algorithm>
#include <array>
#include <vector>

#include <boost/asio/steady_timer.hpp>
#include <fmt/format.h>

#include "core/base64.h"
#include "dialler.h"
#include "net/until.h"
#include "talk.h"

namespace postrider::simulation {
namespace {

using namespace std::chrono_literals;

/// No session lasts longer.
constexpr auto kSessionMax = 4h;

constexpr std::array<std::string_view, 4> kRefusals = {
    "535 5.7.8 Username and Password not accepted\r\n",
    "534 5.7.9 Application-specific password required\r\n",
    "454 4.7.0 Temporary authentication failure\r\n", "535 5.7.1 Account locked\r\n"};
constexpr std::array<std::string_view, 3> kSurplus = {"250 2.0.0 Ok\r\n", "550 5.0.0 no\r\n",
                                                      "354 go\r\n"};
constexpr std::array<std::string_view, 5> kGarbage = {std::string_view("\0\0\0\x1b[2J\r\n", 9),
                                                      "hello\r\n", "2x0 ok\r\n", "\xff\xfe\n",
                                                      "999 ok\r\n"};

net::Awaitable<void> pass(Duration time) {
    boost::asio::steady_timer timer(co_await boost::asio::this_coro::executor);
    timer.expires_after(time);
    (void)co_await timer.async_wait(boost::asio::as_tuple(boost::asio::use_awaitable));
}

std::string upper(std::string text) {
    for (char& c : text) c = static_cast<char>(c >= 'a' && c <= 'z' ? c - 32 : c);
    return text;
}

/// `MAIL FROM:<a@b> SIZE=1`: a@b.
std::string path_in(std::string_view command) {
    const std::size_t begin = command.find('<');
    const std::size_t end = command.find('>');
    if (begin == std::string_view::npos || end == std::string_view::npos) return "?";
    return std::string(command.substr(begin + 1, end - begin - 1));
}

std::string plain_login() {
    std::string text(1, '\0');
    text.append(kUser).append(1, '\0').append(kPassword);
    return base64(text);
}

}  // namespace

/// One connection.
class Smarthost::Session {
public:
    Session(Smarthost& owner, std::unique_ptr<net::Stream> stream, std::string name)
        : owner_(owner),
          world_(owner.world_),
          wire_(Wire::of(*stream)),
          talk_(std::move(stream)),
          name_(std::move(name)),
          until_(world_.now() + kSessionMax) {}

    net::Awaitable<void> run() {
        co_await converse();
        world_.note(name_, "ends");
    }

private:
    enum class Step { Greeting, Hello, Login, Mail, Rcpt, Data, Dot, Other };

    net::Awaitable<void> converse() {
        choose_capabilities();
        const bool went = co_await answer(Step::Greeting, "220 smtp.example.net ESMTP");
        if (!went) co_return;
        for (;;) {
            if (owner_.feels_like(Mischief::CloseIdle) && !in_transaction_) {
                world_.fault(to_string(Mischief::CloseIdle), name_);
                co_return;
            }
            const auto line = co_await talk_.line(until_);
            if (!line) co_return;
            if (!line->ends_with("\r\n")) {
                owner_.ledger_.violation("S3: a command that does not end in CRLF: " + *line);
                co_return;
            }
            const std::string command = line->substr(0, line->size() - 2);
            world_.note(name_, "C: " + command);
            ++questions_;
            bool go_on = false;
            go_on = co_await obey(command);
            if (!go_on) co_return;
        }
    }

    net::Awaitable<bool> obey(std::string command) {
        const std::string verb = upper(command.substr(0, command.find(' ')));
        if (verb == "EHLO") {
            const std::string hello = greeting();
            co_return co_await answer(Step::Hello, hello);
        }
        if (verb == "HELO") co_return co_await answer(Step::Hello, "250 smtp.example.net");
        if (verb == "AUTH") co_return co_await log_in(command);
        if (verb == "MAIL") co_return co_await mail(command);
        if (verb == "RCPT") co_return co_await rcpt(command);
        if (verb == "DATA") co_return co_await data();
        if (verb == "BDAT") co_return co_await chunk(command);
        if (verb == "RSET") {
            reset();
            co_return co_await answer(Step::Other, "250 2.0.0 Ok");
        }
        if (verb == "NOOP") co_return co_await answer(Step::Other, "250 2.0.0 Ok");
        if (verb == "QUIT") {
            co_await say("221 2.0.0 Bye\r\n");
            co_return false;
        }
        owner_.ledger_.violation("the courier said: " + command);
        co_return false;
    }

    void choose_capabilities() {
        if (!owner_.feels_like(Mischief::Capabilities)) return;
        world_.fault(to_string(Mischief::Capabilities), name_);
        pipelining_ = world_.chance(0.5);
        chunking_ = world_.chance(0.5);
        size_ = world_.chance(0.5);
        // Without AUTH, or with a small SIZE, mail is refused; that is the server's good right.
        login_ = world_.chance(0.8);
        if (world_.chance(0.2)) size_max_ = 500;
    }

    std::string greeting() const {
        std::vector<std::string> lines = {"smtp.example.net", "ENHANCEDSTATUSCODES", "8BITMIME"};
        if (pipelining_) lines.emplace_back("PIPELINING");
        if (chunking_) lines.emplace_back("CHUNKING");
        if (size_) lines.push_back(fmt::format("SIZE {}", size_max_));
        if (login_) lines.emplace_back("AUTH PLAIN LOGIN");
        std::string text;
        for (std::size_t i = 0; i < lines.size(); ++i) {
            if (i > 0) text += "\r\n";
            text += (i + 1 < lines.size() ? "250-" : "250 ") + lines[i];
        }
        return text;
    }

    net::Awaitable<bool> log_in(std::string command) {
        if (owner_.feels_like(Mischief::RefuseLogin)) {
            world_.fault(to_string(Mischief::RefuseLogin), name_);
            co_return co_await say(kRefusals[world_.below(kRefusals.size())]);
        }
        if (command != "AUTH PLAIN " + plain_login()) {
            owner_.ledger_.violation("AUTH with other words: " + command);
        }
        logged_in_ = true;
        co_return co_await answer(Step::Login, "235 2.7.0 Accepted");
    }

    net::Awaitable<bool> mail(std::string command) {
        reset();
        if (!logged_in_) co_return co_await say("530 5.7.0 Authentication Required\r\n");
        from_ = path_in(command);
        std::string reply = "250 2.1.0 Ok";
        in_transaction_ = true;
        if (misbehaves(Mischief::SayTemporary)) reply = "451 4.7.1 try later";
        if (misbehaves(Mischief::SayPermanent)) reply = "550 5.7.1 sender refused";
        if (misbehaves(Mischief::SayQuota)) reply = "550 5.4.5 Daily user sending limit exceeded";
        if (reply[0] != '2') in_transaction_ = false;
        co_return co_await answer(Step::Mail, reply);
    }

    net::Awaitable<bool> rcpt(std::string command) {
        const std::string recipient = path_in(command);
        asked_for_.push_back(recipient);
        std::string reply = "250 2.1.5 Ok";
        if (!in_transaction_) reply = "503 5.5.1 MAIL first";
        if (refuses_all_) reply = "450 4.2.1 not now";
        if (misbehaves(Mischief::RefuseAllButGo)) {
            refuses_all_ = true;
            recipients_.clear();
            reply = "550 5.1.1 nobody";
        }
        if (misbehaves(Mischief::SayTemporary)) reply = "450 4.2.0 greylisted";
        if (misbehaves(Mischief::SayPermanent)) reply = "550 5.1.1 no such user";
        const bool is_full = !recipients_.empty() && world_.below(3) == 0;
        if (is_full && misbehaves(Mischief::FullTransaction))
            reply = "452 4.5.3 too many recipients";
        if (reply[0] == '2') recipients_.push_back(recipient);
        co_return co_await answer(Step::Rcpt, reply);
    }

    net::Awaitable<bool> data() {
        std::string reply = "354 go ahead";
        if (recipients_.empty() && !refuses_all_) reply = "554 5.5.1 no valid recipients";
        if (reply[0] == '3' && misbehaves(Mischief::SayTemporary)) reply = "451 4.3.0 not now";
        if (reply[0] == '3' && misbehaves(Mischief::SayPermanent)) reply = "554 5.7.1 no";
        const bool goes = reply[0] == '3';
        if (!goes) reset();
        const bool went = co_await answer(Step::Data, reply);
        if (!went) co_return false;
        if (!goes) co_return true;
        for (;;) {
            auto line = co_await talk_.line(until_);
            if (!line) co_return false;
            check_line(*line);
            if (*line == ".\r\n") break;
            if (line->starts_with('.')) line->erase(0, 1);
            content_ += *line;
        }
        ++questions_;
        co_return co_await finish();
    }

    net::Awaitable<bool> chunk(std::string command) {
        const std::string words = upper(command.substr(5));
        const auto size = static_cast<std::size_t>(std::stoull(words));
        const bool last = words.ends_with(" LAST");
        auto bytes = co_await talk_.bytes(size, until_);
        if (!bytes) co_return false;
        content_ += *bytes;
        if (recipients_.empty()) {
            reset();
            co_return co_await say("554 5.5.1 no valid recipients\r\n");
        }
        if (last) {
            for (std::string_view left = content_; !left.empty();) {
                const std::size_t end = left.find('\n');
                check_line(left.substr(0, end == std::string_view::npos ? end : end + 1));
                left.remove_prefix(end == std::string_view::npos ? left.size() : end + 1);
            }
            co_return co_await finish();
        }
        co_return co_await answer(Step::Data, "250 2.0.0 Ok");
    }

    /// S3: nothing that another server might take for a line end.
    void check_line(std::string_view line) {
        const std::size_t cr = line.find('\r');
        if (line.ends_with("\r\n") && cr == line.size() - 2) return;
        owner_.ledger_.violation("S3: content with a bare CR or LF");
    }

    net::Awaitable<bool> finish() {
        world_.note(name_, fmt::format("got {} bytes for {}", content_.size(), recipients_.size()));
        Stored end;
        end.from = from_;
        end.recipients = asked_for_;
        end.content = content_;
        ends_.emplace_back(questions_ - 1, std::move(end));
        std::string reply = "250 2.0.0 Ok: taken";
        if (recipients_.empty()) reply = "554 5.5.1 no valid recipients";
        if (misbehaves(Mischief::SayTemporary)) reply = "451 4.3.0 not now";
        if (misbehaves(Mischief::SayPermanent)) reply = "554 5.7.1 content refused";
        if (misbehaves(Mischief::SayQuota)) reply = "452 4.2.2 over quota";
        const bool takes = reply[0] == '2';
        std::function<void()> was_read;
        if (takes) {
            Stored stored;
            stored.from = from_;
            stored.recipients = recipients_;
            stored.content = std::move(content_);
            // Whether the answer will be a clean one is known when it has been made up.
            reply_is_clean_ = std::make_shared<bool>(clean_);
            stored.clean = reply_is_clean_;
            const Control control = owner_.plan_.control;
            if (control == Control::TakenTwice) owner_.ledger_.stored(stored)();
            if (control != Control::LostReports || !from_.empty()) {
                was_read = owner_.ledger_.stored(std::move(stored));
            }
        }
        reset();
        if (takes && misbehaves(Mischief::CloseAfterStoring)) co_return false;
        when_answered_ = std::move(was_read);
        const bool go_on = co_await answer(Step::Dot, reply);
        when_answered_ = nullptr;
        reply_is_clean_ = nullptr;
        co_return go_on;
    }

    bool misbehaves(Mischief kind) {
        if (!owner_.feels_like(kind)) return false;
        world_.fault(to_string(kind), name_);
        return true;
    }

    void not_clean() {
        clean_ = false;
        if (reply_is_clean_) *reply_is_clean_ = false;
    }

    /// Says it, or something else. False: the connection is over.
    net::Awaitable<bool> answer(Step step, std::string_view reply) {
        if (misbehaves(Mischief::Close)) co_return false;
        if (misbehaves(Mischief::Say421)) {
            not_clean();
            co_await say("421 4.7.0 closing\r\n");
            co_return false;
        }
        if (misbehaves(Mischief::Stall)) {
            // Until the courier has had enough.
            for (bool listening = true; listening;) {
                const auto line = co_await talk_.line(until_);
                listening = line.has_value();
            }
            co_return false;
        }
        if (misbehaves(Mischief::Late)) {
            co_await pass(world_.between(1s, step == Step::Dot ? 590s : 110s));
        }
        if (misbehaves(Mischief::Missing)) {
            not_clean();
            co_return true;
        }
        std::string text = std::string(reply) + "\r\n";
        const std::string code(reply.substr(0, 3));
        if (misbehaves(Mischief::MultiLine)) text = code + "-one\r\n" + code + "-\r\n" + text;
        if (misbehaves(Mischief::Oversized)) {
            text = code + "-" + std::string(3000 + world_.below(5000), 'x') + "\r\n" + text;
        }
        if (misbehaves(Mischief::Surplus)) {
            not_clean();
            const std::string more(kSurplus[world_.below(kSurplus.size())]);
            text = world_.chance(0.5) ? more + text : text + more;
        }
        if (misbehaves(Mischief::Mixed)) {
            not_clean();
            text = (code[0] == '2' ? "451-no\r\n" : "250-yes\r\n") + text;
        }
        if (misbehaves(Mischief::Endless)) {
            not_clean();
            text.clear();
            for (int i = 0; i < 3000; ++i) text += code + "-more\r\n";
        }
        if (misbehaves(Mischief::Garbage)) {
            not_clean();
            text = kGarbage[world_.below(kGarbage.size())];
        }
        co_return co_await say(text);
    }

    net::Awaitable<bool> say(std::string_view text) {
        std::string shown(text.substr(0, 100));
        for (char& c : shown) c = c < ' ' || c > '~' ? ' ' : c;
        world_.note(name_, "S: " + shown);
        keep_count(text);
        if (when_answered_) {
            wire_->when_read(1, wire_->sent_by(1) + text.size(), std::move(when_answered_));
            when_answered_ = nullptr;
        }
        co_return co_await talk_.say(text, until_);
    }

    /// Replies belong to questions by their order alone. A surplus one that comes while others are
    /// awaited says something about the next question, and may tell of a delivery that never was:
    /// a lie that nobody could see.
    void keep_count(std::string_view text) {
        while (!text.empty()) {
            const std::size_t end = std::min(text.find('\n'), text.size() - 1);
            if (end < 3 || text[3] != '-') answers_.push_back(text[0]);
            text.remove_prefix(end + 1);
        }
        std::erase_if(ends_, [this](const auto& end) {
            if (end.first >= answers_.size()) return false;
            const bool is_lost =
                owner_.plan_.control == Control::LostReports && end.second.from.empty();
            if (answers_[end.first] == '2' && !is_lost) owner_.ledger_.told(end.second);
            return true;
        });
    }

    void reset() {
        asked_for_.clear();
        in_transaction_ = false;
        refuses_all_ = false;
        recipients_.clear();
        content_.clear();
        from_.clear();
    }

    Smarthost& owner_;
    World& world_;
    std::shared_ptr<Wire> wire_;
    Talk talk_;
    std::string name_;
    MonotonicTime until_;

    bool pipelining_ = true;
    bool chunking_ = true;
    bool size_ = true;
    bool login_ = true;
    std::uint64_t size_max_ = 35882577;
    bool logged_in_ = false;
    bool in_transaction_ = false;
    bool refuses_all_ = false;
    /// No reply so far was out of order.
    bool clean_ = true;
    std::shared_ptr<bool> reply_is_clean_;
    std::function<void()> when_answered_;
    std::string from_;
    std::vector<std::string> recipients_;
    std::vector<std::string> asked_for_;  ///< Recipients, taken or not.
    std::string content_;

    std::size_t questions_ = 1;  ///< The greeting is the answer to the first.
    std::string answers_;        ///< The first digit of each.
    std::vector<std::pair<std::size_t, Stored>> ends_;  ///< Of data; the answer is still to come.
};

Smarthost::Smarthost(World& world, const Plan& plan, Ledger& ledger)
    : world_(world),
      plan_(plan),
      ledger_(ledger),
      sessions_(world.outside().executor(), Log(unheard_, "smarthost")) {}

bool Smarthost::feels_like(Mischief kind) {
    const double probability = plan_.mischief[static_cast<std::size_t>(kind)];
    return probability > 0 && !world_.calm && world_.chance(probability);
}

std::unique_ptr<net::Stream> Smarthost::connect(Process& client) {
    if (feels_like(Mischief::RefuseConnection)) {
        world_.fault(to_string(Mischief::RefuseConnection));
        return nullptr;
    }
    const std::string name = fmt::format("smarthost#{}", ++connections_);
    WireManner manner = plan_.relay_wire;
    if (feels_like(Mischief::CutConnection)) {
        manner.cut_after[world_.below(2)] = world_.below(world_.chance(0.5) ? 300 : 3000);
    }
    auto [near, far] = Wire::connect(world_, client, world_.outside(), manner, name);
    auto serve = [](Smarthost& owner, std::unique_ptr<net::Stream> stream,
                    std::string called) -> net::Awaitable<void> {
        Session session(owner, std::move(stream), std::move(called));
        co_await session.run();
    };
    sessions_.spawn(serve(*this, std::move(far), name), name);
    return std::move(near);
}

}  // namespace postrider::simulation
