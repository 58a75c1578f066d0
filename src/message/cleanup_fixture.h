// A message as programs hand it over, and what became of it: the words of this module's tests.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "core/ascii.h"
#include "core/clock.h"
#include "core/log.h"
#include "message/address_list.h"
#include "message/cleanup.h"

namespace postrider::message {

/// Everything a message became.
struct Cleaned {
    Verdict verdict;
    std::string content;  ///< With LF for CRLF.
    std::string raw;
    std::vector<std::string> log;

    const Accepted* accepted() const { return std::get_if<Accepted>(&verdict); }
    const Rejected* rejected() const { return std::get_if<Rejected>(&verdict); }
    bool is_discarded() const { return std::holds_alternative<Discarded>(verdict); }

    /// Without the Received: field that we put first.
    std::string after_received() const {
        const std::size_t end = content.find('\n', content.find("; "));
        return content.substr(end + 1);
    }
    /// `a@x, b@y<b>`: where it goes, and as what it was submitted if that differs.
    std::string recipients() const {
        std::string text;
        if (accepted() == nullptr) return "(not accepted)";
        for (const mail::Recipient& to : accepted()->envelope.recipients) {
            if (!text.empty()) text += ", ";
            text += mail::external(to.address);
            if (!(to.original == to.address)) text += "<" + mail::external(to.original) + ">";
        }
        return text;
    }
    std::string sender() const {
        return accepted() == nullptr ? "(not accepted)"
                                     : mail::external(accepted()->envelope.reverse_path);
    }
};

/// A machine called desk.example at 2026-11-22 14:02:35 UTC.
class Desk {
public:
    Desk() {
        RewriteOptions& rewrite = options.rewrite;
        rewrite.myhostname = rewrite.myorigin = rewrite.mydomain = "desk.example";
        rewrite.recipient_delimiter = "+";
        rewrite.is_local_domain = [](std::string_view domain) {
            return domain == "desk.example" || domain == "localhost";
        };
    }

    table::Tables tables(std::string_view parameter, std::string_view list) const {
        table::OpenOptions open;
        open.utf8 = false;
        return table::Tables::open(parameter, list, open, Log(log_, "cleanup"));
    }

    /// What `sendmail ... recipients` sends, as user 1000 called ann.
    Submission sendmail(std::string_view recipients) const {
        Submission submission;
        submission.queue_id = *mail::QueueId::parse("CAA14A80218");
        submission.created = submission.arrival = WallTime(std::chrono::seconds(1795356155));
        submission.trace.uid = 1000;
        submission.dot_ends = true;
        submission.envelope.reverse_path = mail::Address("ann", "");
        for (mail::Address& to : parse_address_list(recipients)) {
            submission.envelope.recipients.emplace_back(std::move(to));
        }
        return submission;
    }
    /// `sendmail -t`
    Submission sendmail_t(std::string_view recipients = "") const {
        Submission submission = sendmail(recipients);
        submission.extract_recipients = true;
        return submission;
    }
    /// From a program that connects to localhost:25.
    Submission smtp(std::string_view recipients) const {
        Submission submission = sendmail(recipients);
        submission.dot_ends = false;
        submission.trace.door = Trace::Door::Smtp;
        submission.trace.helo = "me.example";
        submission.trace.client_name = "localhost";
        submission.trace.client_address = "127.0.0.1";
        submission.trace.protocol = "ESMTP";
        submission.log_origin = "localhost[127.0.0.1]";
        submission.proto = "ESMTP";
        submission.helo = "me.example";
        submission.envelope.reverse_path = mail::Address("ann", "desk.example");
        return submission;
    }

    /// Writes the message in pieces of at most `piece` bytes.
    Cleaned clean(Submission submission, std::string_view message,
                  std::size_t piece = 100000) const {
        log_.clear();
        Cleanup cleanup(options, Log(log_, "cleanup"), std::move(submission));
        Cleaned result{Discarded{}, {}, {}, {}};
        while (!message.empty()) {
            cleanup.write(message.substr(0, piece));
            message.remove_prefix(std::min(piece, message.size()));
            if (cleanup.output_size() >= Cleanup::kOutputPiece) result.raw += cleanup.take_output();
        }
        result.verdict = cleanup.finish();
        result.raw += cleanup.take_output();
        for (const char c : result.raw) {
            if (c != '\r') result.content += c;
        }
        result.log = log_.lines();
        return result;
    }

    CleanupOptions options;

private:
    mutable CapturedLog log_;
};

}  // namespace postrider::message
