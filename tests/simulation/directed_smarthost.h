// A smarthost that a test directs question by question, and a courier that sends to it.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <ostream>
#include <string>
#include <utility>
#include <vector>

#include "core/log.h"
#include "delivery/courier.h"
#include "dialler.h"
#include "net/task_group.h"
#include "queue/queue.h"
#include "wire.h"
#include "world.h"

namespace postrider::simulation {

class MachineClock;

enum class Step : std::uint8_t { Greeting, Hello, Login, Mail, Rcpt, Data, Content, End, Other };

/// What the smarthost was asked, in which connection, counted from 1.
struct Question {
    Step step;
    int session;
    std::string line;  ///< The command; at End the sender.
};

struct Answer {
    enum class Then : std::uint8_t { GoOn, Stall, Close };
    std::string text;  ///< Without its line end; empty: the usual.
    Duration late{0};
    Then then = Then::GoOn;
};

/// Keeps to SMTP where the director does not tell it otherwise. Only CRLF.CRLF ends content.
class DirectedSmarthost {
public:
    explicit DirectedSmarthost(World& world)
        : world_(world), sessions_(world.outside().executor(), Log(unheard_, "smarthost")) {}

    std::function<Answer(const Question&)> director = [](const Question&) { return Answer(); };
    /// EHLO keywords of a session.
    std::function<std::vector<std::string>(int session)> offers = [](int) {
        return std::vector<std::string>{"PIPELINING", "CHUNKING", "8BITMIME", "AUTH PLAIN"};
    };
    std::function<WireManner(int session)> manner = [](int) { return WireManner(); };

    /// What was answered 250, and what had arrived whole when the connection broke.
    struct Taken {
        int session = 0;
        std::string from;
        std::vector<std::string> recipients;
        std::string content;
        Duration when{0};
    };
    std::vector<Taken> taken;
    std::vector<std::pair<int, std::string>> heard;  ///< Commands.
    int sessions_begun = 0;
    /// Connections now, and most at once.
    int open = 0;
    int open_max = 0;

    std::unique_ptr<net::Stream> connect(Process& client);
    /// What the courier had handed over in that session.
    std::uint64_t bytes_sent_in(int session) const { return wires_.at(session)->sent_by(0); }
    std::uint64_t bytes_said_in(int session) const { return wires_.at(session)->sent_by(1); }

private:
    class Session;
    World& world_;
    CapturedLog unheard_;
    std::map<int, std::shared_ptr<Wire>> wires_;
    net::TaskGroup sessions_;
};

/// A courier with a queue in memory. All settings may be changed until start().
class CourierWorld {
public:
    CourierWorld();
    ~CourierWorld();

    void start();
    /// Another courier takes over the queue.
    void restart();
    struct Letter {
        std::string from = "ann@desk.example";
        std::vector<std::string> to = {"bob@corp.example"};
        std::string content = "Subject: x\r\n\r\n.dot\r\n";
        bool has_8bit = false;
        std::uint32_t uid = 1000;
    };
    /// Into the queue, all in one transaction; returns when it is durable.
    void submit(const std::vector<Letter>& letters);
    void let_pass(Duration time);
    /// Goes on until it holds; false after `limit`.
    bool until(const std::function<bool()>& holds, Duration limit);
    /// Messages in the queue, those being removed included.
    std::uint64_t queued();

    struct Line {
        Duration when{0};
        std::string text;
        friend std::ostream& operator<<(std::ostream& out, const Line& line) {
            return out << line.when.count() / 1000 << " ms: " << line.text;
        }
    };
    /// Log lines that contain the text.
    std::vector<Line> logged(std::string_view text) const;

    World world;
    DirectedSmarthost smarthost{world};
    CourierSettings settings;

private:
    void run_courier();

    class Sink;
    std::unique_ptr<MachineClock> clock_;
    std::unique_ptr<Sink> sink_;
    Log log_;
    Process process_;
    std::unique_ptr<queue::Queue> queue_;
    std::unique_ptr<SimulatedDialler> dialler_;
    std::unique_ptr<delivery::Courier> courier_;
    std::unique_ptr<net::TaskGroup> tasks_;
};

}  // namespace postrider::simulation
