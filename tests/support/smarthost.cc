// A smarthost that does as it is told: the other end of the project's own tests and benchmarks.
//
// It shares no SMTP code with the product, so that an error there cannot hide behind the same error
// here. It is strict: only CRLF.CRLF ends content, and every byte of a message is kept as it came.
//
//   smarthost --port 4650 --implicit-tls --cert server.pem --key server.key --users name:password
//             [--store DIR] [--script FILE] [--transcript FILE] [--no KEYWORD]...
//
// A message is stored as DIR/NNNNNNNN.eml: lines `MAIL address parameters`, `RCPT address`, an
// empty line, then the content. A script has one rule a line, the first that fits counts:
//
//   WHEN PATTERN [xCOUNT] ANSWER      RCPT bob@* 550 5.1.1 no such user
//                                     END * x1 drop
//
// WHEN is GREETING, EHLO, HELO, STARTTLS, AUTH, MAIL, RCPT, DATA, CONTENT, END (of content) or
// QUIT; PATTERN (with `*`) is matched with the argument, from CONTENT on with the sender. ANSWER is
// a reply, in which `\n` stands for a line end and a final `\c` for none; or one of
//   drop          close without an answer; at END the message is stored first
//   drop BYTES    at CONTENT: close after so many bytes of it
//   hang          say nothing any more
//   wait MS ANSWER   that answer, late
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <memory>
#include <optional>
#include <set>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

#include <fnmatch.h>
#include <signal.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "core/ascii.h"
#include "core/base64.h"
#include "core/clock.h"
#include "core/log_targets.h"
#include "net/asio_timers.h"
#include "net/listener.h"
#include "net/task_group.h"
#include "tls/server.h"

namespace {

using namespace postrider;

struct Rule {
    std::string when;
    std::string pattern;
    int left = -1;  ///< How often it still counts; -1 for ever.
    std::string answer;
};

struct Settings {
    std::uint16_t port = 0;
    std::string address = "127.0.0.1";
    bool implicit_tls = false;
    std::string certificate;
    std::string key;
    std::vector<std::string> users;  ///< name:password
    std::string store;
    std::string script;
    std::string transcript;
    std::vector<std::string> missing;  ///< EHLO keywords not offered.
    std::uint64_t size_limit = 36700160;
    std::string name = "smarthost.test";
    std::string auth = "LOGIN PLAIN";  ///< Mechanisms offered.
    std::string tls_protocols;         ///< As smtp_tls_protocols.
    std::string tls_ciphers;
    unsigned idle_ms = 600000;  ///< A client that is silent for longer is left.
};

/// What stands in `text` behind `begin`, up to one of the characters of `end`.
std::string between(const std::string& text, std::string_view begin, const char* end) {
    const std::size_t at = text.find(begin);
    if (at == std::string::npos) return "";
    const std::size_t from = at + begin.size();
    return text.substr(from, text.find_first_of(end, from) - from);
}

std::string contents_of(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    std::ostringstream text;
    text << file.rdbuf();
    return text.str();
}

std::vector<Rule> read_script(const std::string& path) {
    std::vector<Rule> rules;
    std::ifstream file(path);
    for (std::string line; std::getline(file, line);) {
        std::istringstream words(line);
        Rule rule;
        if (!(words >> rule.when >> rule.pattern) || rule.when.starts_with('#')) continue;
        std::getline(words >> std::ws, rule.answer);
        if (rule.answer.starts_with('x') && is_ascii_digit(rule.answer[1])) {
            const std::size_t space = rule.answer.find(' ');
            rule.left = std::stoi(rule.answer.substr(1, space - 1));
            rule.answer.erase(0, space + 1);
        }
        for (std::size_t at; (at = rule.answer.find("\\n")) != std::string::npos;) {
            rule.answer.replace(at, 2, "\r\n");
        }
        rules.push_back(std::move(rule));
    }
    return rules;
}

/// What all sessions share.
class Smarthost {
public:
    explicit Smarthost(const Settings& what) : settings(what), rules_(read_script(what.script)) {
        if (!what.transcript.empty()) transcript_.open(what.transcript, std::ios::app);
        if (what.store.empty()) return;
        // What an earlier smarthost stored there is kept.
        for (const auto& entry : std::filesystem::directory_iterator(what.store)) {
            count_ = std::max(count_, std::strtoull(entry.path().stem().c_str(), nullptr, 10));
        }
    }

    /// The scripted answer; nothing when the script has none.
    std::optional<std::string> scripted(std::string_view when, const std::string& argument) {
        for (Rule& rule : rules_) {
            if (rule.when != when || rule.left == 0) continue;
            if (::fnmatch(rule.pattern.c_str(), argument.c_str(), 0) != 0) continue;
            if (rule.left > 0) --rule.left;
            return rule.answer;
        }
        return std::nullopt;
    }

    bool offers(std::string_view keyword) const {
        for (const std::string& missing : settings.missing) {
            if (equals_ignoring_case(missing, keyword)) return false;
        }
        return true;
    }

    bool knows(const std::string& user, const std::string& password) const {
        for (const std::string& known : settings.users) {
            if (known == user + ":" + password) return true;
        }
        return false;
    }

    void keep(const std::string& envelope, const std::string& content) {
        ++count_;
        if (settings.store.empty()) return;
        char name[32];
        std::snprintf(name, sizeof name, "/%08llu", static_cast<unsigned long long>(count_));
        const std::string path = settings.store + name;
        {
            std::ofstream file(path + ".part", std::ios::binary);
            file << envelope << "\n" << content;
        }
        std::rename((path + ".part").c_str(), (path + ".eml").c_str());
    }

    void note(unsigned session, std::string_view who, std::string_view line) {
        if (transcript_.is_open())
            transcript_ << session << ' ' << who << ": " << line << std::endl;
    }

    unsigned next_session() { return ++sessions_; }
    unsigned long long count() const { return count_; }

    const Settings& settings;
    std::unique_ptr<tls::Server> tls;

private:
    std::vector<Rule> rules_;
    std::ofstream transcript_;
    unsigned sessions_ = 0;
    unsigned long long count_ = 0;
};

/// One connection. A dialogue of lines, except for content.
class Session {
public:
    Session(Smarthost& host, std::unique_ptr<net::Stream> stream)
        : host_(host), stream_(std::move(stream)), number_(host.next_session()) {}

    net::Awaitable<void> run() {
        if (host_.settings.implicit_tls && !co_await start_tls()) co_return;
        host_.note(number_, "-", encrypted_ ? "connected with TLS" : "connected");
        const std::string greeting = "220 " + host_.settings.name + " ESMTP";
        if (!co_await answer("GREETING", "", greeting)) {
            (void)co_await flush();
            stream_->close();
            co_return;
        }
        while (co_await flush_if_idle()) {
            const auto line = co_await read_line();
            if (!line) break;
            host_.note(number_, "C", *line);
            if (!co_await command(*line)) break;
        }
        (void)co_await flush();
        host_.note(number_, "-", "closed");
        if (stream_) stream_->close();  // A handshake that fails ends it.
    }

private:
    MonotonicTime deadline() const {
        return std::chrono::steady_clock::now() + std::chrono::milliseconds(host_.settings.idle_ms);
    }

    net::Awaitable<void> pause(unsigned milliseconds) {
        boost::asio::steady_timer timer(co_await boost::asio::this_coro::executor);
        timer.expires_after(std::chrono::milliseconds(milliseconds));
        co_await timer.async_wait(boost::asio::use_awaitable);
    }

    net::Awaitable<bool> start_tls() {
        if (!host_.tls) co_return false;
        auto accepted = co_await host_.tls->accept(std::move(stream_), deadline());
        if (!accepted) {
            host_.note(number_, "-", accepted.error().message);
            co_return false;
        }
        if ((*accepted)->session().resumed) host_.note(number_, "-", "TLS session resumed");
        stream_ = std::move(accepted).value();
        encrypted_ = true;
        co_return true;
    }

    net::Awaitable<bool> fill() {
        char chunk[65536];
        const auto count = co_await stream_->read_some(chunk, deadline());
        if (!count || *count == 0) co_return false;
        input_.append(chunk, *count);
        co_return true;
    }

    net::Awaitable<std::optional<std::string>> read_line() {
        std::size_t end;
        while ((end = input_.find("\r\n", begin_)) == std::string::npos) {
            if (input_.size() - begin_ > 100000) co_return std::nullopt;
            if (!co_await fill()) co_return std::nullopt;
        }
        std::string line = input_.substr(begin_, end - begin_);
        begin_ = end + 2;
        compact();
        co_return line;
    }

    void compact() {
        if (begin_ == input_.size()) {
            input_.clear();
            begin_ = 0;
        } else if (begin_ > 1 << 20) {
            input_.erase(0, begin_);
            begin_ = 0;
        }
    }

    /// Replies to pipelined commands leave together, before anything is waited for.
    net::Awaitable<bool> flush_if_idle() {
        if (input_.find("\r\n", begin_) != std::string::npos) co_return true;
        co_return co_await flush();
    }

    net::Awaitable<bool> flush() {
        if (output_.empty()) co_return true;
        const std::string out = std::exchange(output_, std::string());
        const auto written = co_await net::write(*stream_, out, deadline());
        co_return written.has_value();
    }

    void reply(std::string_view text) {
        host_.note(number_, "S", text);
        if (text.ends_with("\\c")) {
            output_.append(text.substr(0, text.size() - 2));
        } else {
            output_.append(text).append("\r\n");
        }
    }

    /// Says what the script wants, else `usual`. False: the session is over.
    net::Awaitable<bool> answer(std::string_view when, std::string_view argument,
                                std::string_view usual) {
        auto scripted = host_.scripted(when, std::string(argument));
        positive_ = false;
        co_await heed_wait(scripted);
        if (scripted && *scripted == "drop") co_return false;
        if (scripted && *scripted == "hang") {
            while (co_await fill()) input_.clear();
            co_return false;
        }
        const std::string_view text = scripted ? std::string_view(*scripted) : usual;
        positive_ = text.starts_with('2') || text.starts_with('3');
        reply(text);
        co_return !text.starts_with("421");
    }

    net::Awaitable<void> heed_wait(std::optional<std::string>& scripted) {
        if (!scripted || !scripted->starts_with("wait ")) co_return;
        std::istringstream words(scripted->substr(5));
        unsigned milliseconds = 0;
        std::string rest;
        words >> milliseconds;
        std::getline(words >> std::ws, rest);
        co_await flush();
        co_await pause(milliseconds);
        scripted.reset();
        if (!rest.empty()) scripted = rest;
    }

    /// How much of this content may come in before the connection breaks.
    std::optional<std::size_t> breaking_point() {
        const auto scripted = host_.scripted("CONTENT", sender_);
        if (!scripted || !scripted->starts_with("drop ")) return std::nullopt;
        return std::stoul(scripted->substr(5));
    }

    net::Awaitable<bool> command(const std::string& line) {
        const std::string verb = ascii_uppercase(line.substr(0, line.find(' ')));
        const std::string rest = line.size() > verb.size() ? line.substr(verb.size() + 1) : "";
        if (verb == "EHLO" || verb == "HELO") co_return co_await greet(verb, rest);
        if (verb == "STARTTLS") co_return co_await starttls();
        if (verb == "AUTH") co_return co_await authenticate(rest);
        if (verb == "MAIL") co_return co_await mail(rest);
        if (verb == "RCPT") co_return co_await rcpt(rest);
        if (verb == "DATA") co_return co_await data();
        if (verb == "BDAT") co_return co_await bdat(rest);
        if (verb == "RSET") {
            forget();
            reply("250 2.0.0 flushed");
            co_return true;
        }
        if (verb == "QUIT") {
            (void)co_await answer("QUIT", "", "221 2.0.0 bye");
            co_return false;
        }
        reply(verb == "NOOP" ? "250 2.0.0 OK" : "502 5.5.1 what?");
        co_return true;
    }

    net::Awaitable<bool> greet(const std::string& verb, const std::string& argument) {
        forget();
        auto scripted = host_.scripted(verb, argument);
        co_await heed_wait(scripted);
        if (scripted && *scripted == "drop") co_return false;
        if (scripted || verb == "HELO") {
            const std::string text = scripted ? *scripted : "250 " + host_.settings.name;
            reply(text);
            co_return !text.starts_with("421");
        }
        std::vector<std::string> words{host_.settings.name};
        const auto offer = [&](std::string_view keyword, const std::string& full) {
            if (host_.offers(keyword)) words.push_back(full);
        };
        offer("SIZE", "SIZE " + std::to_string(host_.settings.size_limit));
        for (const char* word :
             {"8BITMIME", "PIPELINING", "CHUNKING", "SMTPUTF8", "ENHANCEDSTATUSCODES"}) {
            offer(word, word);
        }
        if (!encrypted_ && host_.tls) offer("STARTTLS", "STARTTLS");
        if (!host_.settings.users.empty()) offer("AUTH", "AUTH " + host_.settings.auth);
        for (std::size_t i = 0; i < words.size(); ++i) {
            reply((i + 1 < words.size() ? "250-" : "250 ") + words[i]);
        }
        co_return true;
    }

    net::Awaitable<bool> starttls() {
        // Named: this compiler ruins the frame when they are temporaries of the co_await.
        const std::string nothing;
        const std::string usual = "220 2.0.0 go ahead";
        const bool go_on = co_await answer("STARTTLS", nothing, usual);
        if (!go_on) co_return false;
        if (!positive_) co_return true;
        if (!co_await flush()) co_return false;
        // What came in the clear must not be used after TLS has begun.
        input_.clear();
        begin_ = 0;
        forget();
        authenticated_ = false;
        co_return co_await start_tls();
    }

    net::Awaitable<std::optional<std::string>> challenge(std::string_view text) {
        reply("334 " + base64(text));
        if (!co_await flush()) co_return std::nullopt;
        const auto line = co_await read_line();
        if (!line) co_return std::nullopt;
        host_.note(number_, "C", *line);
        co_return decode_base64(*line);
    }

    net::Awaitable<bool> authenticate(const std::string& argument) {
        std::istringstream words(argument);
        std::string mechanism, initial;
        words >> mechanism >> initial;
        std::string user, password;
        if (equals_ignoring_case(mechanism, "PLAIN")) {
            auto response = decode_base64(initial);
            if (initial.empty()) response = co_await challenge("");
            const std::string text = response.value_or("");
            const std::size_t first = text.find('\0');
            const std::size_t second = text.find('\0', first + 1);
            if (second != std::string::npos) {
                user = text.substr(first + 1, second - first - 1);
                password = text.substr(second + 1);
            }
        } else if (equals_ignoring_case(mechanism, "LOGIN")) {
            auto name = decode_base64(initial);
            if (initial.empty()) name = co_await challenge("Username:");
            const auto word = co_await challenge("Password:");
            user = name.value_or("");
            password = word.value_or("");
        } else if (equals_ignoring_case(mechanism, "XOAUTH2") ||
                   equals_ignoring_case(mechanism, "OAUTHBEARER")) {
            // `user=ann^Aauth=Bearer TOKEN^A^A`, or `n,a=ann,^A...`.
            const std::string text = decode_base64(initial).value_or("");
            user = between(text,
                           equals_ignoring_case(mechanism, "XOAUTH2") ? "user=" : "n,a=", ",\x01");
            password = between(text, "auth=Bearer ", "\x01");
            // Why not, as Google says it; the client has to answer before it hears the rest.
            if (!host_.knows(user, password)) {
                co_await challenge(R"({"status":"400","schemes":"Bearer","scope":"mail"})");
            }
        }
        authenticated_ = host_.knows(user, password);
        const std::string usual =
            authenticated_ ? "235 2.7.0 Accepted" : "535 5.7.8 Username and Password not accepted.";
        const bool open = co_await answer("AUTH", user, usual);
        authenticated_ = positive_;
        co_return open;
    }

    net::Awaitable<bool> mail(const std::string& argument) {
        if (!host_.settings.users.empty() && !authenticated_) {
            reply("530 5.7.0 Authentication Required.");
            co_return true;
        }
        forget();
        const std::size_t open = argument.find('<');
        const std::size_t close = argument.find('>');
        sender_ = argument.substr(open + 1, close - open - 1);
        const bool go_on = co_await answer("MAIL", sender_, "250 2.1.0 OK");
        if (positive_) envelope_ = "MAIL " + sender_ + argument.substr(close + 1) + "\n";
        co_return go_on;
    }

    net::Awaitable<bool> rcpt(const std::string& argument) {
        if (envelope_.empty()) {
            reply("503 5.5.1 MAIL first");
            co_return true;
        }
        const std::size_t open = argument.find('<');
        const std::size_t close = argument.find('>');
        const std::string recipient = argument.substr(open + 1, close - open - 1);
        const bool go_on = co_await answer("RCPT", recipient, "250 2.1.5 OK");
        if (positive_) {
            envelope_ += "RCPT " + recipient + argument.substr(close + 1) + "\n";
            ++recipients_;
        }
        co_return go_on;
    }

    net::Awaitable<bool> data() {
        if (recipients_ == 0) {
            reply("554 5.5.1 no valid recipients");
            co_return true;
        }
        if (!co_await answer("DATA", sender_, "354 go ahead")) co_return false;
        if (!positive_) co_return true;
        if (!co_await flush()) co_return false;
        const auto limit = breaking_point();
        // DATA's own line end counts as the one before the first line.
        std::size_t scanned = begin_;
        std::size_t end = std::string::npos;
        while (true) {
            if (input_.compare(begin_, 3, ".\r\n") == 0) {
                content_.clear();
                begin_ += 3;
                co_return co_await complete();
            }
            end = input_.find("\r\n.\r\n", scanned);
            if (end != std::string::npos) break;
            if (limit && input_.size() - begin_ >= *limit) co_return false;
            scanned = std::max(begin_, input_.size() < 4 ? 0 : input_.size() - 4);
            if (!co_await fill()) co_return false;
        }
        unstuff(std::string_view(input_).substr(begin_, end + 2 - begin_));
        begin_ = end + 5;
        compact();
        co_return co_await complete();
    }

    void unstuff(std::string_view raw) {
        content_.clear();
        content_.reserve(raw.size());
        if (raw.starts_with('.')) raw.remove_prefix(1);
        for (std::size_t found; (found = raw.find("\r\n.")) != std::string_view::npos;) {
            content_.append(raw.substr(0, found + 2));
            raw.remove_prefix(found + 3);
        }
        content_.append(raw);
    }

    net::Awaitable<bool> bdat(const std::string& argument) {
        std::istringstream words(argument);
        std::size_t size = 0;
        std::string last;
        words >> size >> last;
        if (content_.empty()) limit_ = breaking_point();
        while (input_.size() - begin_ < size) {
            if (limit_ && content_.size() + input_.size() - begin_ >= *limit_) co_return false;
            if (!co_await fill()) co_return false;
        }
        if (limit_ && content_.size() + size >= *limit_) co_return false;
        content_.append(input_, begin_, size);
        begin_ += size;
        compact();
        if (recipients_ == 0) {
            content_.clear();
            reply("503 5.5.1 no valid recipients");
            co_return true;
        }
        if (!equals_ignoring_case(last, "LAST")) {
            reply("250 2.0.0 " + std::to_string(size) + " octets");
            co_return true;
        }
        co_return co_await complete();
    }

    net::Awaitable<bool> complete() {
        auto scripted = host_.scripted("END", sender_);
        co_await heed_wait(scripted);
        const std::string text =
            scripted ? *scripted : "250 2.0.0 OK " + std::to_string(host_.count() + 1) + " - gsmtp";
        if (text.starts_with('2') || text == "drop") host_.keep(envelope_, content_);
        forget();
        if (text == "drop") co_return false;
        if (text == "hang") {
            while (co_await fill()) input_.clear();
            co_return false;
        }
        reply(text);
        co_return !text.starts_with("421");
    }

    void forget() {
        envelope_.clear();
        sender_.clear();
        content_.clear();
        recipients_ = 0;
    }

    Smarthost& host_;
    std::unique_ptr<net::Stream> stream_;
    unsigned number_;
    std::string input_;
    std::size_t begin_ = 0;  ///< Of what has not been read of `input_`.
    std::string output_;
    bool encrypted_ = false;
    bool authenticated_ = false;
    bool positive_ = false;
    std::string envelope_;
    std::string sender_;
    std::string content_;
    std::size_t recipients_ = 0;
    std::optional<std::size_t> limit_;  ///< See breaking_point().
};

net::Awaitable<void> run_session(Smarthost& host, std::unique_ptr<net::Stream> stream) {
    Session session(host, std::move(stream));
    co_await session.run();
}

net::Awaitable<void> accept_all(net::Listener& listener, Smarthost& host,
                                net::TaskGroup& sessions) {
    while (true) {
        auto stream = co_await listener.accept();
        if (!stream) co_return;
        std::unique_ptr<net::Stream> plain = std::move(stream).value();
        sessions.spawn(run_session(host, std::move(plain)), "session");
    }
}

int fail(const Error& error) {
    std::cerr << "smarthost: " << error.message << "\n";
    return 1;
}

}  // namespace

int main(int argc, char** argv) {
    Settings settings;
    CLI::App app("A scripted smarthost for tests");
    app.add_option("--port", settings.port, "TCP port; 0 chooses one and prints it");
    app.add_option("--address", settings.address, "address to listen on");
    app.add_flag("--implicit-tls", settings.implicit_tls, "TLS from the first byte");
    app.add_option("--cert", settings.certificate, "certificate chain, PEM");
    app.add_option("--key", settings.key, "private key, PEM");
    app.add_option("--users", settings.users, "name:password, any number");
    app.add_option("--store", settings.store, "directory for what arrives");
    app.add_option("--script", settings.script, "rules for answers");
    app.add_option("--transcript", settings.transcript, "file for the dialogues");
    app.add_option("--no", settings.missing, "EHLO keyword not to offer");
    app.add_option("--size-limit", settings.size_limit, "for SIZE");
    app.add_option("--name", settings.name, "own host name");
    app.add_option("--auth", settings.auth, "AUTH mechanisms offered");
    app.add_option("--tls-protocols", settings.tls_protocols, "as smtp_tls_protocols");
    app.add_option("--tls-ciphers", settings.tls_ciphers, "OpenSSL cipher list");
    app.add_option("--idle-ms", settings.idle_ms, "leave a client that is silent for so long");
    CLI11_PARSE(app, argc, argv);

    ::signal(SIGPIPE, SIG_IGN);
    const SystemClock clock;
    StderrTarget console;
    const Log log(console, "smarthost");
    boost::asio::io_context context(1);
    net::AsioTimers timers(context.get_executor(), clock);
    Smarthost host(settings);
    if (!settings.certificate.empty()) {
        tls::ServerOptions options;
        options.chain = contents_of(settings.certificate);
        options.key = contents_of(settings.key);
        options.ciphers = settings.tls_ciphers;
        if (!settings.tls_protocols.empty()) {
            auto protocols = tls::parse_protocols(settings.tls_protocols);
            if (!protocols) return fail(protocols.error());
            options.protocols = *protocols;
        }
        auto server = tls::Server::create(options);
        if (!server) return fail(server.error());
        host.tls = std::move(server).value();
    }
    auto socket = net::listen_tcp(boost::asio::ip::make_address(settings.address), settings.port);
    if (!socket) return fail(socket.error());
    auto listener =
        net::Listener::adopt(context.get_executor(), std::move(socket).value(), timers, log);
    if (!listener) return fail(listener.error());
    if (settings.port == 0) std::cout << (*listener)->local().port << std::endl;

    net::TaskGroup sessions(context.get_executor(), log);
    net::TaskGroup acceptor(context.get_executor(), log);
    acceptor.spawn(accept_all(**listener, host, sessions), "accept");
    boost::asio::signal_set signals(context, SIGTERM, SIGINT);
    signals.async_wait([&](const boost::system::error_code&, int) { context.stop(); });
    context.run();
    return 0;
}
