// Sessions as transcripts: tests/dialogs/smtpd/*.dialog.
//
//   C: text      the client sends this and CRLF; consecutive lines go out in one packet
//   C- text      the same without CRLF; `\r`, `\n`, `\0`, `\xHH` and `\\` stand for bytes in both
//   C! lost      the connection breaks; `timeout`: silence for too long
//   S: pattern   the server says this, `*` for anything; checked before the client goes on
//   L: pattern   among the log lines, in this order
//   M: FROM -> RCPT,RCPT     a committed message, in order; `M: none`
//   T: pattern   a line of the last committed message
//   set NAME VALUE           an option, a client, the queue's mood; see configure()
#include "intake/smtp_session.h"

#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>

#include <gtest/gtest.h>

#include "intake/fakes.h"

namespace postrider::intake {
namespace {

bool matches(std::string_view pattern, std::string_view text) {
    const std::size_t star = pattern.find('*');
    if (star == std::string_view::npos) return pattern == text;
    if (!text.starts_with(pattern.substr(0, star))) return false;
    const std::string_view rest = pattern.substr(star + 1);
    for (std::size_t i = star; i <= text.size(); ++i) {
        if (matches(rest, text.substr(i))) return true;
    }
    return false;
}

std::string unescaped(std::string_view text) {
    std::string result;
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (text[i] != '\\' || i + 1 == text.size()) {
            result += text[i];
            continue;
        }
        switch (text[++i]) {
            case 'r':
                result += '\r';
                break;
            case 'n':
                result += '\n';
                break;
            case '0':
                result += '\0';
                break;
            case 'x':
                result +=
                    static_cast<char>(std::stoi(std::string(text.substr(i + 1, 2)), nullptr, 16));
                i += 2;
                break;
            default:
                result += text[i];
        }
    }
    return result;
}

struct Step {
    std::string kind;  ///< `C:`, `C-`, `C!`, `S:`
    std::string text;
};

/// Plays the client's part, and checks the server's.
class ScriptedStream final : public net::Stream {
public:
    explicit ScriptedStream(std::vector<Step> steps) : steps_(std::move(steps)) {}

    net::Awaitable<Result<std::size_t>> read_some(std::span<char> into, MonotonicTime) override {
        if (pending_.empty()) {
            check_replies();
            if (next_ < steps_.size() && steps_[next_].kind == "C!") {
                const bool lost = steps_[next_++].text == "lost";
                co_return Unexpected(lost ? ErrorCode::Connection : ErrorCode::Timeout, "script");
            }
            while (next_ < steps_.size() && steps_[next_].kind.front() == 'C' &&
                   steps_[next_].kind != "C!") {
                pending_ += unescaped(steps_[next_].text);
                if (steps_[next_].kind == "C:") pending_ += "\r\n";
                ++next_;
            }
        }
        const std::size_t size = std::min({into.size(), pending_.size(), packet_size});
        std::memcpy(into.data(), pending_.data(), size);
        pending_.erase(0, size);
        co_return size;
    }
    net::Awaitable<Result<void>> write(std::span<const boost::asio::const_buffer> buffers,
                                       MonotonicTime) override {
        for (const auto& buffer : buffers)
            said_.append(static_cast<const char*>(buffer.data()), buffer.size());
        ++write_count;
        co_return Result<void>();
    }
    void cancel() override {}
    void close() override { closed = true; }

    /// At the end of the session.
    void check_replies() {
        while (next_ < steps_.size() && steps_[next_].kind == "S:") {
            const std::size_t end = said_.find("\r\n");
            if (end == std::string::npos) {
                ADD_FAILURE() << "not said: " << steps_[next_].text;
                ++next_;
                continue;
            }
            EXPECT_TRUE(matches(steps_[next_].text, said_.substr(0, end)))
                << "expected: " << steps_[next_].text << "\n    said: " << said_.substr(0, end);
            said_.erase(0, end + 2);
            ++next_;
        }
        EXPECT_EQ(said_, "") << "said beyond the script";
        said_.clear();
    }
    bool is_played() const { return next_ == steps_.size(); }

    std::size_t packet_size = 64 * 1024;
    std::size_t write_count = 0;
    bool closed = false;

private:
    std::vector<Step> steps_;
    std::size_t next_ = 0;
    std::string pending_;
    std::string said_;
};

/// One server's world, told by `set` lines.
struct World {
    DialogueOptions dialogue;
    SessionOptions session;
    message::CleanupOptions cleanup;
    FakeInbox inbox;
    JumpingTimers timers;
    CapturedLog lines;
    Log log{lines, "intake"};
    Client client = network_client("127.0.0.1", true);
    bool talked_early = false;
    std::size_t packet_size = 64 * 1024;
    std::optional<ClientRates> rates;
    Services services{dialogue, session, cleanup, inbox, timers, log};
    Slot slot;

    World() {
        dialogue.myhostname = "desk.example";
        cleanup.rewrite.myhostname = "desk.example";
        cleanup.rewrite.myorigin = "desk.example";
        cleanup.rewrite.mydomain = "example";
        dialogue.classify_recipient = [](const mail::Address& address) {
            if (address.local_part == "trouble") return RecipientClass::LookupFailed;
            if (!address.domain.empty() && address.domain != "desk.example")
                return RecipientClass::Remote;
            return address.local_part == "nosuch" ? RecipientClass::UnknownLocal
                                                  : RecipientClass::Local;
        };
    }

    void limit(RateEvent event, std::size_t count) {
        RateOptions options;
        options.limits[static_cast<std::size_t>(event)] = count;
        rates.emplace(options);
        services.rates = &*rates;
    }

    void configure(const std::string& name, const std::string& value) {
        const auto number = static_cast<std::size_t>(std::strtoull(value.c_str(), nullptr, 10));
        if (name == "client" && value == "stand_alone") {
            client = local_client(1500);
        } else if (name == "client") {
            client = network_client(value, value == "127.0.0.1" || value == "::1");
        } else if (name == "queue" && value == "full") {
            inbox.open_error = Error{ErrorCode::DiskFull, "no room"};
        } else if (name == "queue" && value == "away") {
            inbox.open_error = Error{ErrorCode::Unavailable, "queue is away"};
        } else if (name == "queue" && value == "broken") {
            inbox.commit_error = Error{ErrorCode::Io, "disk failed"};
        } else if (name == "queue" && value == "in_doubt") {
            inbox.commit_error = Error{ErrorCode::Connection, "the queue went away"};
        } else if (name == "talked_early") {
            talked_early = true;
        } else if (name == "packet_size") {
            packet_size = number;
        } else if (name == "message_size_limit") {
            dialogue.message_size_limit = cleanup.message_size_limit = number;
        } else if (name == "smtpd_recipient_limit") {
            dialogue.smtpd_recipient_limit = number;
        } else if (name == "smtpd_client_message_rate_limit") {
            limit(RateEvent::Message, number);
        } else if (name == "smtpd_client_recipient_rate_limit") {
            limit(RateEvent::Recipient, number);
        } else if (name == "smtpd_hard_error_limit") {
            dialogue.smtpd_hard_error_limit = number;
        } else if (name == "smtpd_junk_command_limit") {
            dialogue.smtpd_junk_command_limit = number;
        } else if (name == "smtpd_helo_required") {
            dialogue.smtpd_helo_required = true;
        } else if (name == "sender") {  // The only one who a local user may send as.
            dialogue.may_send_as = [value](std::int64_t,
                                           const mail::Address& sender) -> Result<bool> {
                if (value == "unknown") return Unexpected(ErrorCode::Unavailable, "away");
                return mail::external(sender) == value;
            };
        } else if (name == "strict_smtputf8") {
            dialogue.strict_smtputf8 = true;
        } else if (name == "discard") {
            dialogue.smtpd_discard_ehlo_keywords.push_back(value);
        } else {
            ADD_FAILURE() << "no such setting: " << name;
        }
    }
};

std::string shown(const queue::NewMessage& message) {
    std::string text = mail::external(message.envelope.reverse_path) + " -> ";
    for (const mail::Recipient& recipient : message.envelope.recipients) {
        if (!text.ends_with(' ')) text += ',';
        text += mail::external(recipient.address);
    }
    return text;
}

class Dialog : public testing::TestWithParam<std::filesystem::path> {};

TEST_P(Dialog, GoesAsWritten) {
    World world;
    std::vector<Step> steps;
    std::vector<std::string> log_patterns;
    std::vector<std::string> messages;
    std::vector<std::string> content_patterns;
    std::ifstream file(GetParam());
    ASSERT_TRUE(file);
    for (std::string line; std::getline(file, line);) {
        if (line.empty() || line.front() == '#') continue;
        const std::string kind = line.substr(0, 2);
        const std::string text = line.size() > 3 ? line.substr(3) : "";
        if (line.starts_with("set ")) {
            std::istringstream words(line.substr(4));
            std::string name;
            std::string value;
            words >> name >> value;
            world.configure(name, value);
        } else if (kind == "L:") {
            log_patterns.push_back(text);
        } else if (kind == "M:") {
            messages.push_back(text);
        } else if (kind == "T:") {
            content_patterns.push_back(text);
        } else {
            ASSERT_TRUE(kind == "C:" || kind == "C-" || kind == "C!" || kind == "S:") << line;
            steps.push_back({kind, text});
        }
    }
    ScriptedStream stream(std::move(steps));
    stream.packet_size = world.packet_size;

    SmtpSession session(stream, world.client, world.services, world.slot);
    run(session.run(world.talked_early));

    stream.check_replies();
    EXPECT_TRUE(stream.is_played()) << "the session ended before the script";
    EXPECT_TRUE(stream.closed);
    EXPECT_EQ(world.inbox.open_count(), 0u) << "a message was opened and forgotten";
    auto line = world.lines.lines().begin();
    for (const std::string& pattern : log_patterns) {
        while (line != world.lines.lines().end() && !matches(pattern, *line)) ++line;
        if (line == world.lines.lines().end()) {
            ADD_FAILURE() << "not in the log, or not in this order: " << pattern << "\n"
                          << testing::PrintToString(world.lines.lines());
            break;
        }
    }
    if (messages.empty()) return;
    std::vector<std::string> committed;
    for (const auto& message : world.inbox.messages) committed.push_back(shown(message.message));
    if (messages.front() == "none") messages.clear();
    EXPECT_EQ(committed, messages);
    for (const std::string& pattern : content_patterns) {
        ASSERT_FALSE(world.inbox.messages.empty());
        const std::string& content = world.inbox.messages.back().content;
        EXPECT_TRUE(matches("*\r\n" + unescaped(pattern) + "\r\n*", "\r\n" + content))
            << pattern << "\nnot a line of\n"
            << content;
    }
}

std::vector<std::filesystem::path> all_dialogs() {
    std::vector<std::filesystem::path> files;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(POSTRIDER_DIALOGS)) {
        if (entry.path().extension() == ".dialog") files.push_back(entry.path());
    }
    std::sort(files.begin(), files.end());
    return files;
}

INSTANTIATE_TEST_SUITE_P(Smtpd, Dialog, testing::ValuesIn(all_dialogs()),
                         [](const auto& dialog) { return dialog.param.stem().string(); });

/// CRs and LFs that are not part of a CRLF.
std::size_t bare_line_ends(std::string_view content) {
    std::size_t count = 0;
    for (std::size_t i = 0; i < content.size(); ++i) {
        const bool lf = content[i] == '\n';
        const bool cr = content[i] == '\r';
        if (lf && (i == 0 || content[i - 1] != '\r')) ++count;
        if (cr && (i + 1 == content.size() || content[i + 1] != '\n')) ++count;
    }
    return count;
}

// Every pair of look-alikes around a dot, in packets of every small size: one message, no command.
TEST(SmtpSession, SmugglingComesOutAsOneMessage) {
    const std::vector<std::string> ends = {"\n",     "\r",       "\r\n",     "\r\r\n", "\n\r",
                                           "\r\n\n", "\n\r\n",   "\r\r",     "\n\n",   " \r\n",
                                           "\t\n",   "\x1a\r\n", "\x0b\r\n", "\r \n"};
    int combinations = 0;
    for (const std::string& before : ends) {
        for (const std::string& after : ends) {
            const std::string data = "a" + before + "." + after + "MAIL FROM:<evil@x.example>";
            if (("a" + before + "." + after).find("\r\n.\r\n") != std::string::npos) continue;
            ++combinations;
            World world;
            std::string escaped;
            for (const char c : data) {
                char hex[5];
                std::snprintf(hex, sizeof hex, "\\x%02x", static_cast<unsigned char>(c));
                escaped += hex;
            }
            ScriptedStream stream({{"S:", "220 *"},
                                   {"C:", "HELO x"},
                                   {"S:", "250 *"},
                                   {"C:", "MAIL FROM:<a@x.example>"},
                                   {"S:", "250 *"},
                                   {"C:", "RCPT TO:<b@x.example>"},
                                   {"S:", "250 *"},
                                   {"C:", "DATA"},
                                   {"S:", "354 *"},
                                   {"C:", escaped},
                                   {"C:", "."},
                                   {"S:", "250 *"},
                                   {"C:", "QUIT"},
                                   {"S:", "221 *"}});
            stream.packet_size = static_cast<std::size_t>(1 + combinations % 5);
            world.dialogue.smtpd_forbid_unauth_pipelining = false;

            SmtpSession session(stream, world.client, world.services, world.slot);
            run(session.run(false));

            stream.check_replies();
            ASSERT_TRUE(stream.is_played());
            ASSERT_EQ(world.inbox.messages.size(), 1u) << escaped;
            const std::string& content = world.inbox.messages[0].content;
            EXPECT_EQ(bare_line_ends(content), 0u) << escaped;
        }
    }
    EXPECT_GT(combinations, 150);
}

TEST(SmtpSession, AnswersAPipelinedFlightInOneWrite) {
    World world;
    ScriptedStream stream({{"S:", "220 *"},
                           {"C:", "EHLO x"},
                           {"S:", "250-*"},
                           {"S:", "250-*"},
                           {"S:", "250-*"},
                           {"S:", "250-*"},
                           {"S:", "250-*"},
                           {"S:", "250-*"},
                           {"S:", "250-*"},
                           {"S:", "250-*"},
                           {"S:", "250-*"},
                           {"S:", "250 CHUNKING"},
                           {"C:", "MAIL FROM:<a@x.example>"},
                           {"C:", "RCPT TO:<b@x.example>"},
                           {"C:", "RCPT TO:<c@x.example>"},
                           {"C:", "DATA"},
                           {"S:", "250 2.1.0 Ok"},
                           {"S:", "250 2.1.5 Ok"},
                           {"S:", "250 2.1.5 Ok"},
                           {"S:", "354 *"}});

    SmtpSession session(stream, world.client, world.services, world.slot);
    run(session.run(false));

    EXPECT_EQ(stream.write_count, 3u);
}

}  // namespace
}  // namespace postrider::intake
