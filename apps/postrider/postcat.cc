// postcat: shows a queued message, envelope and content.
#include <algorithm>
#include <chrono>
#include <ctime>
#include <string>
#include <string_view>
#include <vector>

#include <unistd.h>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "commands.h"
#include "control/codec.h"
#include "core/base64.h"
#include "mail_system.h"
#include "program.h"

namespace postrider::apps {
namespace {

/// Which parts of a message to show; none chosen means all.
struct Parts {
    bool envelope = false;
    bool header = false;
    bool body = false;

    bool all() const { return envelope == header && header == body; }
    bool shows_envelope() const { return envelope || all(); }
};

std::string calendar_text(WallTime time) {
    const std::time_t seconds =
        std::chrono::duration_cast<std::chrono::seconds>(time.time_since_epoch()).count();
    std::tm local{};
    ::localtime_r(&seconds, &local);
    char text[64];
    return std::string(text, std::strftime(text, sizeof text, "%a %b %e %H:%M:%S %Y", &local));
}

void print_envelope(const queue::ListedMessage& message, const std::string& name) {
    fmt::print("*** ENVELOPE RECORDS {} ***\n", name);
    fmt::print("message_size: {0:>15}{1:>16}{2:>16}{1:>16}{0:>16}{1:>16}\n", message.size, 0,
               message.recipients.size());
    fmt::print("message_arrival_time: {}\n", calendar_text(message.arrival));
    fmt::print("next_attempt_time: {}\n", calendar_text(message.next_attempt));
    fmt::print("sender: {}\n", mail::external(message.envelope.reverse_path));
    for (const queue::QueuedRecipient& each : message.recipients) {
        const mail::Recipient& recipient = each.recipient;
        if (!recipient.original_recipient.empty()) {
            fmt::print("named_attribute: dsn_orig_rcpt={}\n", recipient.original_recipient);
        }
        fmt::print("original_recipient: {}\nrecipient: {}\n", mail::external(recipient.original),
                   mail::external(recipient.address));
    }
}

/// Prints content as it comes, CRLF as line feed, only the parts asked for.
class ContentPrinter {
public:
    explicit ContentPrinter(Parts parts) : parts_(parts) {}

    void write(std::string_view bytes) {
        for (const char c : bytes) {
            if (c == '\r') continue;
            if (parts_.all() || (in_header_ ? parts_.header : parts_.body)) out_ += c;
            if (in_header_ && c == '\n' && last_ == '\n') in_header_ = false;
            last_ = c;
        }
        flush();
    }

private:
    void flush() {
        std::fwrite(out_.data(), 1, out_.size(), stdout);
        out_.clear();
    }

    Parts parts_;
    bool in_header_ = true;
    char last_ = '\n';
    std::string out_;
};

/// Shows one message; false if the queue does not have it.
bool show(Program& program, const config::Config& config, const std::string& id, Parts parts) {
    control::Request request;
    request.operation = control::Operation::Show;
    request.ids = {id};
    std::string name;
    ContentPrinter content(parts);
    const auto done = ask(
        config, request,
        [&](std::string_view line) {
            const nlohmann::json json = nlohmann::json::parse(line, nullptr, false);
            if (!json.is_object()) return true;
            if (json.contains("message")) {
                const auto message = control::parse_message(json["message"].dump());
                if (!message) program.fatal(message.error().message);
                name = fmt::format("{}/{}", control::name_of(message->place), id);
                if (parts.shows_envelope()) print_envelope(*message, name);
                if (parts.all()) fmt::print("*** MESSAGE CONTENTS {} ***\n", name);
            } else if (json.contains("content") && !(parts.envelope && !parts.all())) {
                if (const auto bytes = decode_base64(json["content"].get<std::string>())) {
                    content.write(*bytes);
                }
            }
            return true;
        },
        program.log());
    if (!done) program.fatal(done.error().message);
    if (*done > 0 && parts.all()) {
        fmt::print("*** HEADER EXTRACTED {0} ***\n*** MESSAGE FILE END {0} ***\n", name);
    }
    return *done > 0;
}

}  // namespace

int postcat(int argc, char** argv) {
    Program program("postcat", 1);
    std::string directory;
    Parts parts;
    bool by_id = false;
    for (int option; (option = ::getopt(argc, argv, "bc:defhoqrs:v")) != -1;) {
        switch (option) {
            case 'b':
                parts.body = true;
                break;
            case 'c':
                directory = ::optarg;
                break;
            case 'e':
                parts.envelope = true;
                break;
            case 'h':
                parts.header = true;
                break;
            case 'q':
                by_id = true;
                break;
            case 'd':
            case 'f':
            case 'o':
            case 'r':
            case 's':
            case 'v':
                break;  // About the layout of queue files, which we have none of.
            default:
                program.fatal("usage: postcat [-beh] [-c config_dir] -q queue_id...");
        }
    }
    if (!by_id || ::optind == argc) {
        program.fatal("name queue ids, with -q: mail is kept in a database, not in files");
    }
    const config::Config& config = program.load_config(directory);
    for (int i = ::optind; i < argc; ++i) {
        if (!mail::QueueId::parse(argv[i])) {
            program.fatal(fmt::format("invalid mail queue id: {}", argv[i]));
        }
        if (!show(program, config, argv[i], parts)) {
            program.fatal(fmt::format("open queue file {}: No such file or directory", argv[i]));
        }
    }
    return 0;
}

}  // namespace postrider::apps
