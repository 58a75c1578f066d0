#include "directed_smarthost.h"

#include <algorithm>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "core/checksum.h"
#include "machine.h"
#include "talk.h"

namespace postrider::simulation {
namespace {

using namespace std::chrono_literals;

constexpr auto kSessionMax = 24h;

std::string path_in(std::string_view command) {
    const std::size_t begin = command.find('<');
    const std::size_t end = command.find('>');
    if (begin == std::string_view::npos || end == std::string_view::npos) return "?";
    return std::string(command.substr(begin + 1, end - begin - 1));
}

net::Awaitable<void> pass(Duration time) {
    boost::asio::steady_timer timer(co_await boost::asio::this_coro::executor);
    timer.expires_after(time);
    (void)co_await timer.async_wait(boost::asio::as_tuple(boost::asio::use_awaitable));
}

}  // namespace

class DirectedSmarthost::Session {
public:
    Session(DirectedSmarthost& owner, std::unique_ptr<net::Stream> stream, int number)
        : owner_(owner),
          talk_(std::move(stream)),
          number_(number),
          until_(owner.world_.now() + kSessionMax) {
        owner_.open_max = std::max(owner_.open_max, ++owner_.open);
    }
    ~Session() { --owner_.open; }

    net::Awaitable<void> run() {
        const std::string nothing;
        const std::string greeting = "220 smtp.example.net ESMTP";
        bool going = co_await answer(Step::Greeting, nothing, greeting);
        while (going) {
            const auto line = co_await talk_.line(until_);
            if (!line || !line->ends_with("\r\n")) co_return;
            const std::string command = line->substr(0, line->size() - 2);
            owner_.heard.emplace_back(number_, command);
            going = co_await obey(command);
        }
    }

private:
    net::Awaitable<bool> obey(std::string command) {
        const std::string verb = command.substr(0, command.find(' '));
        std::string usual = "250 2.0.0 ok";
        Step step = Step::Other;
        if (verb == "EHLO") {
            step = Step::Hello;
            usual = greeting();
        } else if (verb == "AUTH") {
            step = Step::Login;
            usual = "235 2.7.0 accepted";
        } else if (verb == "MAIL") {
            step = Step::Mail;
            message_ = Taken();
            message_.from = path_in(command);
        } else if (verb == "RCPT") {
            step = Step::Rcpt;
        } else if (verb == "DATA") {
            co_return co_await data(std::move(command));
        } else if (verb == "BDAT") {
            co_return co_await chunk(std::move(command));
        } else if (verb == "QUIT") {
            co_return false;
        }
        const bool went = co_await answer(step, command, usual);
        if (step == Step::Rcpt && positive_) message_.recipients.push_back(path_in(command));
        co_return went;
    }

    std::string greeting() const {
        std::string text = "250-smtp.example.net\r\n";
        for (const std::string& keyword : owner_.offers(number_)) text += "250-" + keyword + "\r\n";
        return text + "250 HELP";
    }

    net::Awaitable<bool> data(std::string command) {
        const std::string go_on = "354 go ahead";
        const bool went = co_await answer(Step::Data, command, go_on);
        if (!went || !positive_) co_return went;
        for (;;) {
            const auto line = co_await talk_.line(until_);
            if (!line) co_return false;
            if (*line == ".\r\n") break;
            message_.content += line->starts_with('.') ? line->substr(1) : *line;
            const std::string nothing;
            const auto said = owner_.director({Step::Content, number_, nothing});
            // Reads no more: what the courier still has to say does not fit into the window.
            if (said.then == Answer::Then::Stall) {
                co_await pass(kSessionMax);
                co_return false;
            }
        }
        co_return co_await finish();
    }

    net::Awaitable<bool> chunk(std::string command) {
        const auto bytes = co_await talk_.bytes(std::stoul(command.substr(5)), until_);
        if (!bytes) co_return false;
        message_.content += *bytes;
        if (command.ends_with(" LAST")) co_return co_await finish();
        const std::string usual = "250 2.0.0 ok";
        co_return co_await answer(Step::Content, command, usual);
    }

    net::Awaitable<bool> finish() {
        const std::string from = message_.from;
        const auto said = owner_.director({Step::End, number_, from});
        message_.session = number_;
        message_.when = owner_.world_.elapsed();
        const bool takes = said.text.empty() || said.text[0] == '2';
        if (takes) owner_.taken.push_back(message_);
        const std::string usual = "250 2.0.0 taken";
        co_return co_await give(said, usual);
    }

    net::Awaitable<bool> answer(Step step, std::string command, std::string usual) {
        const auto said = owner_.director({step, number_, command});
        co_return co_await give(said, usual);
    }

    net::Awaitable<bool> give(Answer said, std::string usual) {
        positive_ = false;
        if (said.then == Answer::Then::Stall) co_return co_await stall();
        if (said.late > Duration(0)) co_await pass(said.late);
        const std::string text = said.text.empty() ? usual : said.text;
        positive_ = text[0] == '2' || text[0] == '3';
        const std::string line = text + "\r\n";
        const bool went = co_await talk_.say(line, until_);
        co_return went&& said.then == Answer::Then::GoOn && !text.starts_with("421");
    }

    // Until the courier has had enough.
    net::Awaitable<bool> stall() {
        for (bool listening = true; listening;) {
            const auto line = co_await talk_.line(until_);
            listening = line.has_value();
        }
        co_return false;
    }

    DirectedSmarthost& owner_;
    Talk talk_;
    int number_;
    MonotonicTime until_;
    bool positive_ = false;
    Taken message_;
};

std::unique_ptr<net::Stream> DirectedSmarthost::connect(Process& client) {
    const int number = ++sessions_begun;
    auto [near, far] = Wire::connect(world_, client, world_.outside(), manner(number),
                                     "session " + std::to_string(number));
    wires_[number] = Wire::of(*near);
    auto serve = [](DirectedSmarthost& owner, std::unique_ptr<net::Stream> stream,
                    int which) -> net::Awaitable<void> {
        Session session(owner, std::move(stream), which);
        co_await session.run();
    };
    sessions_.spawn(serve(*this, std::move(far), number), "session");
    return std::move(near);
}

class CourierWorld::Sink final : public LogSink {
public:
    explicit Sink(const World& world) : world_(world) {}
    void write(Severity, std::string_view, std::string_view text) override {
        lines.push_back({world_.elapsed(), std::string(text)});
    }
    std::vector<Line> lines;

private:
    const World& world_;
};

CourierWorld::CourierWorld()
    : world(1, nullptr),
      clock_(std::make_unique<MachineClock>(world)),
      sink_(std::make_unique<Sink>(world)),
      log_(*sink_, "qmgr"),
      process_(world, "courier") {}

CourierWorld::~CourierWorld() {
    process_.kill();
    world.outside().kill();
}

void CourierWorld::start() {
    queue_ =
        std::make_unique<queue::Queue>(queue::Spool::open_in_memory(*clock_), process_.executor(),
                                       *clock_, log_, queue::Queue::Storage::Inline);
    auto connect = [this](Process& client) { return smarthost.connect(client); };
    dialler_ = std::make_unique<SimulatedDialler>(settings, connect, process_, *clock_, log_);
    tasks_ = std::make_unique<net::TaskGroup>(process_.executor(), log_);
    queue_->on_due([this] { courier_->wake(); });
    run_courier();
}

void CourierWorld::run_courier() {
    courier_ = std::make_unique<delivery::Courier>(
        settings.delivery, settings.maps, *queue_, *dialler_, *clock_,
        delivery::Ages(*clock_, [] { return Duration{}; }), process_.executor(), log_);
    tasks_->spawn(courier_->run(), "courier");
}

void CourierWorld::restart() {
    bool stopped = false;
    auto stop = [](delivery::Courier& courier, bool& done) -> net::Awaitable<void> {
        co_await courier.stop();
        done = true;
    };
    tasks_->spawn(stop(*courier_, stopped), "stop");
    POSTRIDER_CHECK(until([&stopped] { return stopped; }, 1h));
    run_courier();
}

void CourierWorld::submit(const std::vector<Letter>& letters) {
    std::size_t left = letters.size();
    auto hand_over = [](CourierWorld& self, Letter letter,
                        std::size_t& waiting) -> net::Awaitable<void> {
        const auto number = co_await self.queue_->reserve(1);
        POSTRIDER_CHECK(number.has_value());
        queue::NewMessage message;
        message.ticket = queue::Ticket::make(*number, self.clock_->now(), false);
        message.arrival = self.clock_->now();
        if (!letter.from.empty()) message.envelope.reverse_path = *mail::parse_address(letter.from);
        for (const std::string& one : letter.to) {
            message.envelope.recipients.emplace_back(*mail::parse_address(one));
        }
        message.submitter_uid = letter.uid;
        message.has_8bit = letter.has_8bit;
        if (letter.has_8bit) message.envelope.body = mail::BodyType::EightBitMime;
        message.size = message.content_length = letter.content.size();
        message.header_length = static_cast<std::uint32_t>(letter.content.find("\r\n\r\n") + 2);
        message.longest_line = 70;
        Checksum checksum;
        checksum.add(letter.content);
        message.checksum = checksum.value();
        auto kept = co_await self.queue_->commit(std::move(message), 0, std::move(letter.content));
        POSTRIDER_CHECK(kept.has_value());
        --waiting;
    };
    for (const Letter& letter : letters) tasks_->spawn(hand_over(*this, letter, left), "letter");
    POSTRIDER_CHECK(until([&left] { return left == 0; }, 1h));
}

void CourierWorld::let_pass(Duration time) {
    bool over = false;
    world.after(time, [&over] { over = true; });
    world.run_until([&over] { return over; }, MonotonicTime::max());
}

bool CourierWorld::until(const std::function<bool()>& holds, Duration limit) {
    // The event may come when nobody waits for it any more.
    auto over = std::make_shared<bool>(false);
    world.after(limit, [over] { *over = true; });
    world.run_until([&] { return *over || holds(); }, MonotonicTime::max());
    return holds();
}

std::uint64_t CourierWorld::queued() {
    std::optional<std::uint64_t> found;
    auto count = [](CourierWorld& self,
                    std::optional<std::uint64_t>& into) -> net::Awaitable<void> {
        const auto listed = co_await self.queue_->list(0, 100000);
        POSTRIDER_CHECK(listed.has_value());
        into = listed->size();
    };
    tasks_->spawn(count(*this, found), "count");
    POSTRIDER_CHECK(world.run_until([&found] { return found.has_value(); }, MonotonicTime::max()));
    return *found;
}

std::vector<CourierWorld::Line> CourierWorld::logged(std::string_view text) const {
    std::vector<Line> found;
    for (const Line& line : sink_->lines) {
        if (line.text.find(text) != std::string::npos) found.push_back(line);
    }
    return found;
}

}  // namespace postrider::simulation
