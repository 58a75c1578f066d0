// Hands over mail as fast as a server takes it, the commands of a message in one flight: the load
// of `make bench` beside smtp-source, which waits for every reply.
//
//   sender --port N [--sessions 50] [--messages 5000] [--size 4096] [--per-connection 0] [--bdat]
//
// Each session is a thread with a blocking socket. Prints one line of JSON: how long all took, the
// rate, what was refused, and how long a message waited for its 250 (median and 99th percentile).
#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <CLI/CLI.hpp>

namespace {

using Clock = std::chrono::steady_clock;

struct Load {
    std::uint16_t port = 25;
    unsigned sessions = 50;
    unsigned messages = 5000;
    std::size_t size = 4096;
    unsigned per_connection = 0;  ///< Messages; 0 for as many as there are.
    bool bdat = false;
};

/// One connection; every call answers whether the server is still there.
class Connection {
public:
    explicit Connection(std::uint16_t port) : socket_(::socket(AF_INET, SOCK_STREAM, 0)) {
        sockaddr_in there{};
        there.sin_family = AF_INET;
        there.sin_port = htons(port);
        there.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        const int on = 1;
        ::setsockopt(socket_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        is_open_ = ::connect(socket_, reinterpret_cast<sockaddr*>(&there), sizeof there) == 0;
    }
    ~Connection() { ::close(socket_); }
    Connection(const Connection&) = delete;
    Connection& operator=(const Connection&) = delete;

    bool is_open() const { return is_open_; }

    bool send(std::string_view bytes) {
        while (!bytes.empty()) {
            const ssize_t sent = ::send(socket_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
            if (sent <= 0) return is_open_ = false;
            bytes.remove_prefix(static_cast<std::size_t>(sent));
        }
        return true;
    }

    /// The code of the next reply; 0 when the connection is gone.
    int reply() {
        for (;;) {
            const std::size_t end = input_.find('\n', begin_);
            if (end == std::string::npos) {
                if (!fill()) return 0;
                continue;
            }
            const std::string_view line = std::string_view(input_).substr(begin_, end - begin_);
            const bool is_last = line.size() < 4 || line[3] != '-';
            const int code = is_last ? std::atoi(std::string(line.substr(0, 3)).c_str()) : 0;
            begin_ = end + 1;
            if (is_last) return code;
        }
    }

private:
    bool fill() {
        input_.erase(0, begin_);
        begin_ = 0;
        char chunk[4096];
        const ssize_t got = ::recv(socket_, chunk, sizeof chunk, 0);
        if (got <= 0) return is_open_ = false;
        input_.append(chunk, static_cast<std::size_t>(got));
        return true;
    }

    int socket_;
    bool is_open_ = false;
    std::string input_;
    std::size_t begin_ = 0;
};

std::string message_of(std::size_t size) {
    std::string text =
        "From: <ann@desk.example>\r\nTo: <bob@corp.example>\r\nSubject: load\r\n\r\n";
    while (text.size() + 80 < size) text += std::string(78, 'x') + "\r\n";
    return text + "end\r\n";
}

class Session {
public:
    Session(const Load& load, const std::string& message, std::atomic<unsigned>& left)
        : load_(load), left_(left) {
        const std::string envelope =
            "MAIL FROM:<ann@desk.example>\r\nRCPT TO:<bob@corp.example>\r\n";
        if (load.bdat) {
            flight_ = envelope + "BDAT " + std::to_string(message.size()) + " LAST\r\n" + message;
        } else {
            flight_ = envelope + "DATA\r\n";
            content_ = message + ".\r\n";
        }
    }

    void run() {
        while (take()) {
            Connection connection(load_.port);
            const bool greeted = connection.is_open() && connection.reply() == 220 &&
                                 connection.send("EHLO sender\r\n") && connection.reply() == 250;
            if (!greeted) {
                ++refused;
                continue;
            }
            unsigned done = 0;
            do {
                hand_over(connection);
                ++done;
            } while (connection.is_open() &&
                     (load_.per_connection == 0 || done < load_.per_connection) && take());
            if (connection.send("QUIT\r\n")) connection.reply();
        }
    }

    std::vector<double> waits_ms;
    unsigned refused = 0;

private:
    /// Claims one of the messages that are still to be sent.
    bool take() {
        unsigned left = left_.load();
        while (left > 0 && !left_.compare_exchange_weak(left, left - 1)) {
        }
        return left > 0;
    }

    void hand_over(Connection& connection) {
        const auto begun = Clock::now();
        bool taken = connection.send(flight_) && connection.reply() == 250;
        taken = connection.reply() == 250 && taken;
        if (!load_.bdat) {
            taken = connection.reply() == 354 && taken;
            if (taken) connection.send(content_);
        }
        taken = taken && connection.reply() == 250;
        if (!taken) ++refused;
        waits_ms.push_back(std::chrono::duration<double, std::milli>(Clock::now() - begun).count());
    }

    const Load& load_;
    std::atomic<unsigned>& left_;
    std::string flight_;
    std::string content_;
};

}  // namespace

int main(int argc, char** argv) {
    Load load;
    CLI::App app("A pipelining source of mail");
    app.add_option("--port", load.port)->required();
    app.add_option("--sessions", load.sessions);
    app.add_option("--messages", load.messages);
    app.add_option("--size", load.size, "bytes of one message");
    app.add_option("--per-connection", load.per_connection, "messages; 0 for all");
    app.add_flag("--bdat", load.bdat, "BDAT instead of DATA");
    CLI11_PARSE(app, argc, argv);

    const std::string message = message_of(load.size);
    std::atomic<unsigned> left = load.messages;
    std::vector<Session> sessions(load.sessions, Session(load, message, left));
    const auto begun = Clock::now();
    std::vector<std::thread> threads;
    for (Session& session : sessions) threads.emplace_back([&session] { session.run(); });
    for (std::thread& thread : threads) thread.join();
    const double seconds = std::chrono::duration<double>(Clock::now() - begun).count();

    std::vector<double> waits;
    unsigned refused = 0;
    for (const Session& session : sessions) {
        waits.insert(waits.end(), session.waits_ms.begin(), session.waits_ms.end());
        refused += session.refused;
    }
    std::sort(waits.begin(), waits.end());
    const auto at = [&](double share) {
        return waits.empty() ? 0.0
                             : waits[static_cast<std::size_t>(share * double(waits.size() - 1))];
    };
    std::printf(
        "{\"seconds\": %.4f, \"rate\": %.1f, \"refused\": %u, \"median_ms\": %.3f, "
        "\"p99_ms\": %.3f}\n",
        seconds, load.messages / seconds, refused, at(0.5), at(0.99));
    return refused == 0 ? 0 : 1;
}
