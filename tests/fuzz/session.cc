// The server's session: the same outcome however the client's bytes are cut, and the messages that
// a slow reading of RFC 5321 and RFC 3030 finds in them, with nothing smuggled in.
#include <algorithm>
#include <set>
#include <string>

#include "core/ascii.h"
#include "fuzz.h"
#include "intake/fakes.h"
#include "intake/smtp_session.h"
#include "smtp/command_line.h"

using namespace postrider;

namespace {

/// What one client says, in packets.
class ClientStream final : public net::Stream {
public:
    ClientStream(std::string_view text, fuzz::Packets::Way way) : packets_(text, way) {}

    net::Awaitable<Result<std::size_t>> read_some(std::span<char> into, MonotonicTime) override {
        fuzz::require(into.size() <= intake::InputBuffer::kContentRoom + 4096, "bounded reading");
        if (left_.empty() && !packets_.empty()) left_ = packets_.next();
        const std::size_t size = std::min(into.size(), left_.size());
        std::copy_n(left_.begin(), size, into.begin());
        left_.remove_prefix(size);
        co_return size;
    }
    net::Awaitable<Result<void>> write(std::span<const boost::asio::const_buffer> buffers,
                                       MonotonicTime) override {
        for (const auto& buffer : buffers)
            heard.append(static_cast<const char*>(buffer.data()), buffer.size());
        co_return Result<void>();
    }
    void cancel() override {}
    void close() override { closed = true; }

    std::string heard;
    bool closed = false;

private:
    fuzz::Packets packets_;
    std::string_view left_;
};

struct Outcome {
    std::string replies;
    std::vector<intake::FakeInbox::Message> messages;
};

intake::DialogueOptions dialogue_options() {
    intake::DialogueOptions options;
    options.myhostname = "desk.example";
    // What ends a session early depends on packets, or would hide what comes behind it.
    options.smtpd_forbid_unauth_pipelining = false;
    options.smtpd_hard_error_limit = options.smtpd_junk_command_limit = 1000000;
    return options;
}

Outcome converse(std::string_view text, fuzz::Packets::Way way) {
    static const intake::DialogueOptions dialogue = dialogue_options();
    static const intake::SessionOptions session_options;
    static const message::CleanupOptions cleanup = [] {
        message::CleanupOptions options;
        options.rewrite.myhostname = options.rewrite.myorigin = "desk.example";
        return options;
    }();
    intake::FakeInbox inbox;
    intake::JumpingTimers timers;
    CapturedLog lines;
    const Log log(lines, "intake");
    ClientStream stream(text, way);
    const intake::Services services{dialogue, session_options, cleanup, inbox, timers, log};
    intake::Slot slot;
    intake::SmtpSession session(stream, intake::network_client("127.0.0.1", true), services, slot);
    intake::run(session.run(false));

    fuzz::require(stream.closed, "the session ends");
    fuzz::require(inbox.open_count() == 0, "no message is left half open");
    for (const std::string& line : lines.lines())
        fuzz::require(!fuzz::has_control(line), "log lines are printable");
    return {std::move(stream.heard), std::move(inbox.messages)};
}

/// A message as the client sees it.
struct Sent {
    std::set<std::string> recipients;
    std::string content;  ///< As sent, without dot-stuffing.
};

/// Reads the client's bytes as the RFCs have it. Knows nothing of replies.
class Model {
public:
    explicit Model(std::string_view text) : left_(text) {
        while (!ended_ && !left_.empty()) command();
    }
    std::vector<Sent> messages;

private:
    static constexpr std::size_t kLineMax = 2048;
    enum class Chunks : std::uint8_t { None, Some, Failed };

    void command() {
        const bool is_letter = is_ascii_alpha(left_.front()) || is_ascii_space(left_.front());
        const std::size_t end = left_.find('\n');
        if (!is_letter || left_.starts_with("SSH-") || end == left_.npos) return stop();
        std::string_view line = left_.substr(0, end);
        left_.remove_prefix(end + 1);
        if (line.size() > kLineMax + 1) return;
        while (line.ends_with('\r')) line.remove_suffix(1);
        if (line.size() > kLineMax || !is_utf8(line) || line.find('\0') != line.npos ||
            line.find('\r') != line.npos)
            return;
        const smtp::CommandLine parts = smtp::split_command(line);
        switch (parts.verb) {
            case smtp::Verb::Helo:
            case smtp::Verb::Ehlo:
                if (!parts.argument.empty() && parts.argument.size() <= 255 &&
                    !fuzz::has_control(parts.argument))
                    reset();
                return;
            case smtp::Verb::Mail:
                if (!mail_ && chunks_ == Chunks::None) mail_ = is_good_sender(parts.argument);
                return;
            case smtp::Verb::Rcpt:
                if (mail_ && chunks_ == Chunks::None) recipient(parts.argument);
                return;
            case smtp::Verb::Data:
                if (chunks_ == Chunks::None && !now_.recipients.empty() && parts.argument.empty())
                    data();
                return;
            case smtp::Verb::Bdat:
                return bdat(parts.argument);
            case smtp::Verb::Rset:
                if (parts.argument.empty()) reset();
                return;
            case smtp::Verb::Quit:
                return stop();
            case smtp::Verb::Unknown:
                return unknown(parts.word);
            case smtp::Verb::Xclient:
            case smtp::Verb::Xforward:
            case smtp::Verb::StartTls:
            case smtp::Verb::Auth:
            case smtp::Verb::Noop:
            case smtp::Verb::Vrfy:
            case smtp::Verb::Etrn:
            case smtp::Verb::Help:
                return;
        }
    }

    static bool is_good_sender(std::string_view argument) {
        const auto parsed = smtp::parse_mail(argument);
        const auto* mail = std::get_if<smtp::MailCommand>(&parsed);
        return mail != nullptr && mail->size.value_or(0) <= 35882577;
    }
    void recipient(std::string_view argument) {
        const auto parsed = smtp::parse_rcpt(argument);
        const auto* rcpt = std::get_if<smtp::RcptCommand>(&parsed);
        if (rcpt != nullptr) now_.recipients.insert(mail::internal(rcpt->recipient.address));
    }
    void data() {
        const std::string all = "\r\n" + std::string(left_);
        const std::size_t end = all.find("\r\n.\r\n");
        if (end == all.npos) return stop();
        for (std::size_t i = 2; i < end + 2; ++i) {
            if (all[i] != '.' || all[i - 1] != '\n') now_.content += all[i];
        }
        left_.remove_prefix(end + 3);
        finish();
    }
    void bdat(std::string_view argument) {
        const auto chunk = smtp::parse_bdat(argument);
        if (!chunk) return stop();
        const bool skips = chunks_ == Chunks::Failed || now_.recipients.empty() ||
                           (chunk->size == 0 && !chunk->last) || chunk->size > 35882577;
        if (skips) reset();
        if (skips && !chunk->last) chunks_ = Chunks::Failed;
        if (chunk->size > left_.size()) return stop();
        const std::string_view bytes = left_.substr(0, chunk->size);
        left_.remove_prefix(chunk->size);
        if (skips) return;
        chunks_ = Chunks::Some;
        now_.content += bytes;
        if (chunk->last) finish();
    }
    void unknown(std::string_view word) {
        const bool header = word.size() > 1 && word.find(':') != word.npos &&
                            !equals_ignoring_case(word, "FROM:") &&
                            !equals_ignoring_case(word, "TO:");
        for (const char* browser : {"CONNECT", "GET", "POST"})
            if (header || equals_ignoring_case(word, browser)) return stop();
    }

    void finish() {
        messages.push_back(now_);
        reset();
    }
    void reset() {
        now_ = {};
        mail_ = false;
        chunks_ = Chunks::None;
    }
    void stop() { ended_ = true; }

    std::string_view left_;
    bool ended_ = false;
    bool mail_ = false;
    Chunks chunks_ = Chunks::None;
    Sent now_;
};

/// The content's body with CRLF line ends and no other CR.
std::string canonical_body(std::string_view content) {
    std::string body;
    bool in_body = false;
    while (!content.empty()) {
        const std::size_t end = std::min(content.find('\n'), content.size());
        std::string line(content.substr(0, end));
        const bool complete = end < content.size();
        content.remove_prefix(std::min(end + 1, content.size()));
        while (complete && line.ends_with('\r')) line.pop_back();
        for (char& c : line)
            if (c == '\r') c = ' ';
        if (in_body) body += line + "\r\n";
        in_body = in_body || line.empty();
    }
    return body;
}

/// Refused for what is in it, rather than for how it came.
bool is_refusable(const Sent& sent) {
    return ascii_lowercase(sent.content).find("received") != std::string::npos;
}

void check_messages(const std::vector<Sent>& expected, const Outcome& outcome) {
    auto message = outcome.messages.begin();
    for (const Sent& sent : expected) {
        // Refused, whatever else it says, and so no likeness of it is looked for.
        if (sent.content.find('\0') != sent.content.npos) continue;
        std::set<std::string> recipients;
        if (message != outcome.messages.end()) {
            for (const auto& to : message->message.envelope.recipients)
                recipients.insert(mail::internal(to.original));
        }
        const bool is_it = message != outcome.messages.end() &&
                           recipients.size() <= sent.recipients.size() &&
                           message->content.ends_with(canonical_body(sent.content));
        if (!is_it) {
            fuzz::require(is_refusable(sent), "every message sent is in the queue");
            continue;
        }
        fuzz::require(fuzz::is_canonical(message->content), "no bare CR or LF");
        ++message;
    }
    fuzz::require(message == outcome.messages.end(), "nothing else is in the queue");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
    const auto text = fuzz::text_of(bytes, std::min<std::size_t>(size, 16384));
    const Outcome whole = converse(text, fuzz::Packets::Way::Whole);
    check_messages(Model(text).messages, whole);
    for (const auto way : {fuzz::Packets::Way::Single, fuzz::Packets::Way::Mixed}) {
        const Outcome cut = converse(text, way);
        fuzz::require(cut.replies == whole.replies, "the same replies however it is cut");
        fuzz::require(cut.messages.size() == whole.messages.size(), "as many messages");
        for (std::size_t i = 0; i < whole.messages.size(); ++i)
            fuzz::require(cut.messages[i].content == whole.messages[i].content, "the same content");
    }
    return 0;
}
