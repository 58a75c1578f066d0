#include "stand_alone.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <optional>
#include <string>
#include <utility>

#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/log.h"
#include "intake/dialogue.h"
#include "intake/drop.h"
#include "smtp/data_reader.h"

namespace postrider::apps {
namespace {

using intake::Dialogue;

constexpr std::size_t kBufferSize = 64 * 1024;
constexpr std::size_t kLineLengthMax = 2048;

/// One direction of the copying. False at the end of either side.
bool pass(int from, int to, std::array<char, kBufferSize>& buffer) {
    const ssize_t size = ::read(from, buffer.data(), buffer.size());
    if (size < 0 && errno == EINTR) return true;
    if (size <= 0) return false;
    return write_all(to, std::string_view(buffer.data(), static_cast<std::size_t>(size)));
}

/// Until the daemon closes: it has the last word, also after the program has closed its side.
void copy_both_ways(int input, int output, int daemon) {
    std::array<char, kBufferSize> buffer;
    std::array<pollfd, 2> waiting{pollfd{input, POLLIN, 0}, pollfd{daemon, POLLIN, 0}};
    while (true) {
        if (::poll(waiting.data(), waiting.size(), -1) < 0) {
            if (errno == EINTR) continue;
            return;
        }
        if (waiting[1].revents != 0 && !pass(daemon, output, buffer)) return;
        if (waiting[0].revents != 0 && !pass(input, daemon, buffer)) {
            ::shutdown(daemon, SHUT_WR);
            waiting[0].fd = -1;
        }
    }
}

class NoLog final : public LogSink {
public:
    void write(Severity, std::string_view, std::string_view) override {}
};

/// The driver of one dialogue whose messages become drop files.
class OfflineSession {
public:
    OfflineSession(const Doors& doors, const intake::SubmissionRequest& request, int input,
                   int output)
        : doors_(doors),
          request_(request),
          input_(input),
          output_(output),
          log_(no_log_, "sendmail"),
          options_(dialogue_options(doors)),
          dialogue_(options_, intake::local_client(::getuid()), log_) {}

    void run() {
        send(dialogue_.greeting());
        while (open_ && !dialogue_.is_exhausted()) {
            const auto line = next_line();
            if (!line) return;
            if (line->size() > kLineLengthMax) {
                send(dialogue_.overlong_command(*line));
                continue;
            }
            step(dialogue_.command(*line, false));
            if (!dialogue_.in_transaction()) file_.reset();
        }
        if (open_) send(dialogue_.too_many_errors());
    }

private:
    static intake::DialogueOptions dialogue_options(const Doors& doors) {
        intake::DialogueOptions options;
        options.myhostname = doors.myhostname;
        options.message_size_limit = doors.message_size_limit;
        options.smtpd_discard_ehlo_keywords = {"CHUNKING", "ETRN"};
        return options;
    }

    void step(Dialogue::Turn turn) {
        switch (turn.next) {
            case Dialogue::Next::Read:
                send(turn.reply);
                break;
            case Dialogue::Next::Open:
                send(dialogue_.opened(open_file()));
                break;
            case Dialogue::Next::Content:
                send(turn.reply);
                receive();
                break;
            case Dialogue::Next::Chunk:
            case Dialogue::Next::Skip:
            case Dialogue::Next::Close:
                send(turn.reply);
                open_ = false;
                break;
        }
    }

    Result<mail::QueueId> open_file() {
        auto file = intake::DropFile::create(doors_.maildrop_path());
        if (!file) return Unexpected(std::move(file).error());
        file_.emplace(*std::move(file));
        const auto id = mail::QueueId::parse(file_->name());
        return *id;
    }

    intake::SubmissionRequest request() const {
        const mail::Envelope& envelope = dialogue_.envelope();
        intake::SubmissionRequest result = request_;
        result.mode = intake::SubmissionRequest::Mode::Submit;
        result.sender = "<" + mail::external(envelope.reverse_path) + ">";
        for (const mail::Recipient& recipient : envelope.recipients)
            result.recipients.push_back("<" + mail::external(recipient.address) + ">");
        result.dot_is_data = true;
        result.body = envelope.body;
        result.dsn_return = envelope.dsn_return;
        result.envelope_id = envelope.envelope_id;
        // maildrop has one NOTIFY for all.
        result.notify = envelope.recipients.front().notify;
        return result;
    }

    void receive() {
        auto options = intake::encode_request(request());
        Result<void> written;
        if (options) {
            written = file_->write(*options);
        } else {
            written = Unexpected(std::move(options).error());
        }
        smtp::DataReader data;
        std::uint64_t size = 0;
        while (!data.at_end()) {
            if (buffer_.empty() && !fill()) return;
            std::string content;
            std::string_view input = buffer_;
            while (!input.empty() && !data.at_end()) {
                const auto taken = data.next(input);
                content += taken.content;
                input.remove_prefix(taken.consumed);
            }
            buffer_.erase(0, buffer_.size() - input.size());
            size += content.size();
            if (written && !content.empty() && !is_too_big(size))
                written = file_->write(frame('C', content.size()) + content);
        }
        finish(std::move(written), size);
    }

    void finish(Result<void> written, std::uint64_t size) {
        if (is_too_big(size)) {
            send(dialogue_.refused(smtp::Reply(552, "5.3.4 Error: message file too big")));
            return;
        }
        if (written) written = file_->write(frame('E', 0));
        if (written) {
            auto name = file_->finish();
            if (!name) written = Unexpected(std::move(name).error());
        }
        send(written ? dialogue_.accepted() : dialogue_.refused(written.error()));
    }

    bool is_too_big(std::uint64_t size) const {
        return doors_.message_size_limit != 0 && size > doors_.message_size_limit;
    }

    static std::string frame(char type, std::size_t size) {
        intake::FrameHead head;
        head.type = type;
        head.length = static_cast<std::uint32_t>(size);
        return intake::encode_frame_head(head);
    }

    /// Without its end. Of a line too long only the beginning, one byte beyond the bound.
    std::optional<std::string> next_line() {
        std::string line;
        while (true) {
            const std::size_t newline = buffer_.find('\n');
            line.append(buffer_, 0, std::min(newline, buffer_.size()));
            if (line.size() > kLineLengthMax) line.resize(kLineLengthMax + 1);
            buffer_.erase(0, newline == std::string::npos ? newline : newline + 1);
            if (newline != std::string::npos) break;
            if (!fill()) return std::nullopt;
        }
        while (line.ends_with('\r')) line.pop_back();
        return line;
    }

    bool fill() {
        std::array<char, kBufferSize> bytes;
        ssize_t size = -1;
        do {
            size = ::read(input_, bytes.data(), bytes.size());
        } while (size < 0 && errno == EINTR);
        if (size <= 0) open_ = false;
        if (size > 0) buffer_.append(bytes.data(), static_cast<std::size_t>(size));
        return size > 0;
    }

    void send(const smtp::Reply& reply) {
        if (!write_all(output_, smtp::wire(reply))) open_ = false;
    }

    const Doors& doors_;
    const intake::SubmissionRequest& request_;
    int input_;
    int output_;
    NoLog no_log_;
    Log log_;
    intake::DialogueOptions options_;
    Dialogue dialogue_;
    std::string buffer_;
    std::optional<intake::DropFile> file_;
    bool open_ = true;
};

}  // namespace

int stand_alone(const Doors& doors, const intake::SubmissionRequest& request, int input,
                int output) {
    const UniqueFd daemon = connect_submit(doors);
    if (!daemon) return offline_dialogue(doors, request, input, output);
    intake::SubmissionRequest smtp = request;
    smtp.mode = intake::SubmissionRequest::Mode::Smtp;
    const auto options = intake::encode_request(smtp);
    if (!options || !write_all(daemon.get(), *options))
        return offline_dialogue(doors, request, input, output);
    copy_both_ways(input, output, daemon.get());
    return 0;
}

int offline_dialogue(const Doors& doors, const intake::SubmissionRequest& request, int input,
                     int output) {
    OfflineSession(doors, request, input, output).run();
    return 0;
}

}  // namespace postrider::apps
