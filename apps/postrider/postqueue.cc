// postqueue, mailq: lists the queue and asks for deliveries.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <ctime>
#include <string>

#include <sysexits.h>
#include <unistd.h>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "commands.h"
#include "control/codec.h"
#include "core/log.h"
#include "mail/queue_id.h"
#include "mail_system.h"
#include "program.h"

namespace postrider::apps {
namespace {

using queue::ListedMessage;
using queue::QueuedRecipient;

constexpr std::string_view kUsage =
    "usage: postqueue -f | postqueue -i queueid | postqueue -j | postqueue -p | postqueue -s site";

/// The widths of the classic listing, for short and for long queue ids.
struct Columns {
    std::string_view heading;
    int id, size, time, blank;
};
constexpr Columns kShort{"-Queue ID-  --Size-- ----Arrival Time---- -Sender/Recipient-------", 11,
                         7, 20, 41};
constexpr Columns kLong{"----Queue ID----- --Size-- ---Arrival Time---- --Sender/Recipient------",
                        17, 8, 19, 47};

std::string shown(const mail::Address& address) {
    return address.is_null() ? "MAILER-DAEMON" : printable(mail::external(address));
}

char mark_of(ListedMessage::Place place) {
    switch (place) {
        case ListedMessage::Place::Active:
            return '*';
        case ListedMessage::Place::Hold:
            return '!';
        case ListedMessage::Place::Dead:
            return 'X';
        case ListedMessage::Place::Incoming:
        case ListedMessage::Place::Deferred:
            return '\0';
    }
    return '\0';
}

std::string arrival_text(WallTime arrival, int width) {
    const std::time_t seconds =
        std::chrono::duration_cast<std::chrono::seconds>(arrival.time_since_epoch()).count();
    std::tm local{};
    ::localtime_r(&seconds, &local);
    char text[64];
    const std::size_t length = std::strftime(text, sizeof text, "%a %b %e %H:%M:%S %Y", &local);
    return std::string(text, std::min(length, static_cast<std::size_t>(width)));
}

/// The listing of -p, printed message by message as it comes.
class Listing {
public:
    explicit Listing(const Columns& columns) : columns_(columns) {}

    void message(const ListedMessage& message) {
        if (count_++ == 0) fmt::print("{}\n", columns_.heading);
        std::string id = message.id.str();
        if (const char mark = mark_of(message.place)) id += mark;
        if (message.expire) id += '#';
        fmt::print("{:<{}} {:>{}} {:<{}} {}\n", id, columns_.id, message.size, columns_.size,
                   arrival_text(message.arrival, columns_.time), columns_.time,
                   shown(message.envelope.reverse_path));
        if (!message.damage.empty()) fmt::print("{:>76}\n", "(" + printable(message.damage) + ")");
        recipients(message);
        fmt::print("\n");
        bytes_ += message.size;
    }

    void end() const {
        if (count_ == 0) {
            fmt::print("Mail queue is empty\n");
            return;
        }
        fmt::print("-- {} Kbytes in {} Request{}.\n", bytes_ / 1024, count_,
                   count_ == 1 ? "" : "s");
    }

private:
    /// Those that were tried come first, under their reasons; a reason is not said twice in a row.
    void recipients(const ListedMessage& message) const {
        std::string reason;
        for (const bool tried : {true, false}) {
            for (const QueuedRecipient& each : message.recipients) {
                if (each.last.text.empty() == tried) continue;
                if (tried && each.last.text != reason) {
                    reason = each.last.text;
                    const auto indent = 76 - std::min<std::size_t>(76, reason.size());
                    fmt::print("{:>{}}({})\n", "", indent, printable(reason));
                } else if (!tried && !reason.empty()) {
                    fmt::print("{:>{}}(reason unavailable)\n", "", 76 - 18);
                    reason.clear();
                }
                fmt::print("{:{}}{}\n", "", columns_.blank, shown(each.recipient.address));
            }
        }
    }

    Columns columns_;
    std::uint64_t count_ = 0;
    std::uint64_t bytes_ = 0;
};

std::string json_text(std::string_view text) {
    return nlohmann::json(text).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

void print_json(const ListedMessage& message) {
    std::string recipients;
    for (const QueuedRecipient& each : message.recipients) {
        if (!recipients.empty()) recipients += ", ";
        recipients += "{\"address\": " + json_text(shown(each.recipient.address));
        if (!each.last.text.empty()) {
            const bool failed = each.state != queue::RecipientState::Waiting;
            recipients += failed ? ", \"bounce_reason\": " : ", \"delay_reason\": ";
            recipients += json_text(each.last.text);
        }
        recipients += "}";
    }
    const std::string damage =
        message.damage.empty() ? "" : ", \"damage\": " + json_text(message.damage);
    fmt::print(
        "{{\"queue_name\": \"{}\", \"queue_id\": \"{}\", \"arrival_time\": {}, "
        "\"message_size\": {}, \"forced_expire\": {}, \"sender\": {}, \"recipients\": "
        "[{}]{}}}\n",
        control::name_of(message.place), message.id.str(),
        std::chrono::duration_cast<std::chrono::seconds>(message.arrival.time_since_epoch())
            .count(),
        message.size, message.expire, json_text(shown(message.envelope.reverse_path)), recipients,
        damage);
}

/// The message in a line of the answer; nothing for other lines.
std::optional<ListedMessage> message_in(std::string_view line) {
    const nlohmann::json json = nlohmann::json::parse(line, nullptr, false);
    if (!json.is_object() || !json.contains("message")) return std::nullopt;
    auto message = control::parse_message(json["message"].dump());
    if (!message) return std::nullopt;
    return std::move(message).value();
}

void show_queue(Program& program, const config::Config& config, bool json) {
    control::Request request;
    request.operation = control::Operation::List;
    Listing listing(config.boolean("enable_long_queue_ids") ? kLong : kShort);
    const auto done = ask(
        config, request,
        [&](std::string_view line) {
            const auto message = message_in(line);
            if (message && json) print_json(*message);
            if (message && !json) listing.message(*message);
            return !std::ferror(stdout);
        },
        program.log());
    if (!done) {
        program.fatal("Queue report unavailable - mail system is down (" + done.error().message +
                      ")");
    }
    if (!json) listing.end();
}

void flush(Program& program, const config::Config& config, control::Request request) {
    request.operation = control::Operation::Flush;
    const auto done = ask_daemon(config, request, [](std::string_view) { return true; });
    if (done) return;
    if (done.error().code == ErrorCode::Denied) {
        program.fatal("User " + caller_name() + " is not allowed to flush the mail queue");
    }
    program.fatal("Cannot flush mail queue - mail system is down");
}

}  // namespace

int postqueue(int argc, char** argv) {
    Program program("postqueue", EX_UNAVAILABLE);
    std::string directory;
    char action = 0;
    control::Request request;
    for (int option; (option = ::getopt(argc, argv, "c:fi:jps:v")) != -1;) {
        if (option == 'c') {
            directory = ::optarg;
            continue;
        }
        if (option == 'v') continue;
        if (option == '?' || action != 0) program.fatal(kUsage);
        action = static_cast<char>(option);
        if (option == 'i') request.ids = {::optarg};
        if (option == 's') request.site = ::optarg;
    }
    if (action == 0 || ::optind < argc) program.fatal(kUsage);
    const config::Config& config = program.load_config(directory);
    if (action == 'i' && !mail::QueueId::parse(request.ids.front())) {
        program.fatal("Cannot flush queue ID - invalid name: \"" + request.ids.front() + "\"");
    }

    if (action == 'p' || action == 'j') {
        show_queue(program, config, action == 'j');
    } else {
        flush(program, config, request);
    }
    return EX_OK;
}

}  // namespace postrider::apps
