#include "intake/dialogue.h"

#include <algorithm>
#include <utility>

#include "core/ascii.h"
#include "core/text.h"
#include "intake/etiquette.h"

namespace postrider::intake {
namespace {

using smtp::Reply;
using smtp::Verb;

using Turn = Dialogue::Turn;
using Next = Dialogue::Next;

constexpr std::string_view kSynchronization = "5.5.0 Error: SMTP protocol synchronization";

bool holds(const std::vector<std::string>& words, std::string_view word) {
    return std::any_of(words.begin(), words.end(),
                       [&](const std::string& w) { return equals_ignoring_case(w, word); });
}

bool has_control(std::string_view text) {
    return std::any_of(text.begin(), text.end(), [](char c) { return is_ascii_control(c); });
}

}  // namespace

Dialogue::Dialogue(const DialogueOptions& options, Client client, const Log& log)
    : options_(options), client_(std::move(client)), log_(log) {}

Reply Dialogue::greeting() const {
    return Reply(220, options_.smtpd_banner.empty() ? options_.myhostname + " ESMTP postrider"
                                                    : options_.smtpd_banner);
}

Reply Dialogue::early_talker() {
    log_.info("improper command pipelining after CONNECT from " + client_.label());
    return Reply(554, std::string(kSynchronization));
}

Turn Dialogue::command(std::string_view line, bool more) {
    if (is_foreign(line)) {
        counts_.add(Verb::Unknown);
        return goodbye(line);
    }
    if (!is_utf8(line)) return misread("5.5.2 Error: bad UTF-8 syntax");
    const smtp::CommandLine parts = smtp::split_command(line);
    if (line.find('\0') != line.npos || line.find('\r') != line.npos || parts.word.empty())
        return misread("5.5.2 Error: bad syntax");
    if (holds(options_.smtpd_noop_commands, parts.word)) {
        if (junk_commands_++ > options_.smtpd_junk_command_limit) ++errors_;
        return turn(250, "2.0.0 Ok");
    }
    counts_.add(parts.verb);
    where_ = smtp::verb_name(parts.verb);
    if (parts.verb == Verb::Unknown) {
        if (is_header(parts.word) || is_http(line) ||
            holds(options_.smtpd_forbidden_commands, parts.word))
            return goodbye(line);
        ++errors_;
        return turn(500, "5.5.2 Error: command not recognized");
    }
    if (more && must_wait_behind(parts.verb)) {
        log_.info("improper command pipelining after " + std::string(where_) + " from " +
                  client_.label());
        return turn(554, std::string(kSynchronization), Next::Close);
    }

    Turn result = dispatch(parts);
    take_stock(parts.verb, result);
    return result;
}

/// No command, as far as we can read it.
Turn Dialogue::misread(std::string text) {
    where_ = "UNKNOWN";
    counts_.add(Verb::Unknown);
    ++errors_;
    return turn(500, std::move(text));
}

bool Dialogue::must_wait_behind(Verb verb) const {
    if (client_.stand_alone || !options_.smtpd_forbid_unauth_pipelining) return false;
    if (verb == Verb::Quit || verb == Verb::Bdat) return false;
    return !esmtp_ || ends_a_group(verb);
}

void Dialogue::take_stock(Verb verb, const Turn& turn) {
    const bool pending =
        turn.next == Next::Open || turn.next == Next::Content || turn.next == Next::Chunk;
    // 452 for a recipient too many is no error of the client's, up to the overshoot limit.
    const bool forgiven = turn.reply.code == 452 && verb == Verb::Rcpt &&
                          recipients_beyond_limit_ <= options_.smtpd_recipient_overshoot_limit;
    if (!pending) {
        if (turn.reply.code < 400 || forgiven) {
            counts_.add_good(verb);
        } else {
            ++errors_;
        }
    }
    if (is_junk(verb) && junk_commands_++ > options_.smtpd_junk_command_limit) ++errors_;
}

Turn Dialogue::turn(int code, std::string text, Next next) {
    return turn(Reply(code, std::move(text)), next);
}

Turn Dialogue::turn(Reply reply, Next next) {
    Turn result;
    result.reply = std::move(reply);
    result.next = next;
    return result;
}

Turn Dialogue::dispatch(const smtp::CommandLine& line) {
    switch (line.verb) {
        case Verb::Helo:
        case Verb::Ehlo:
            return greet(line);
        case Verb::Mail:
            return mail(line.argument);
        case Verb::Rcpt:
            return rcpt(line.argument);
        case Verb::Data:
            return data(line.argument);
        case Verb::Bdat:
            return bdat(line.argument);
        case Verb::Rset:
            return rset(line.argument);
        case Verb::Noop:
            if (!line.argument.empty()) return turn(501, "5.5.4 Syntax: NOOP");
            return turn(250, "2.0.0 Ok");
        case Verb::Vrfy:
            return vrfy(line.argument);
        case Verb::Etrn:
            return etrn(line.argument);
        case Verb::Help:
            return turn(214,
                        "2.0.0 Commands: AUTH BDAT DATA EHLO ETRN HELO HELP MAIL NOOP QUIT RCPT "
                        "RSET STARTTLS VRFY XCLIENT XFORWARD");
        case Verb::Quit:
            end_transaction();
            return turn(221, "2.0.0 Bye", Next::Close);
        case Verb::StartTls:
            return turn(502, "5.5.1 Error: command not implemented");
        case Verb::Auth:
            return turn(503, "5.5.1 Error: authentication not enabled");
        case Verb::Xclient:
        case Verb::Xforward:
            return turn(550, "5.7.0 Error: insufficient authorization");
        case Verb::Unknown:
            break;
    }
    return turn(500, "5.5.2 Error: command not recognized");
}

Turn Dialogue::greet(const smtp::CommandLine& line) {
    const bool extended = line.verb == Verb::Ehlo;
    if (line.argument.empty() || line.argument.size() > 255 || has_control(line.argument))
        return turn(501, extended ? "Syntax: EHLO hostname" : "Syntax: HELO hostname");
    end_transaction();
    helo_ = printable(line.argument);
    esmtp_ = extended;
    if (!extended) return turn(250, options_.myhostname);
    return turn(Reply(250, ehlo_lines()));
}

std::vector<std::string> Dialogue::ehlo_lines() const {
    std::vector<std::string> lines;
    lines.reserve(10);
    lines.push_back(options_.myhostname);
    const auto add = [&](std::string_view keyword, std::string_view rest = {}) {
        if (offers(keyword)) lines.push_back(concat({keyword, rest}));
    };
    add("PIPELINING");
    const std::uint64_t limit = options_.message_size_limit;
    add("SIZE", limit == 0 ? std::string() : " " + std::to_string(limit));
    if (!options_.disable_vrfy_command) add("VRFY");
    add("ETRN");
    add("ENHANCEDSTATUSCODES");
    add("8BITMIME");
    add("DSN");
    if (options_.smtputf8_enable) add("SMTPUTF8");
    add("CHUNKING");
    return lines;
}

bool Dialogue::offers(std::string_view keyword) const {
    return !holds(options_.smtpd_discard_ehlo_keywords, keyword);
}

Turn Dialogue::vrfy(std::string_view argument) {
    if (options_.disable_vrfy_command) return turn(502, "5.5.1 VRFY command is disabled");
    if (argument.empty())
        return turn(501, options_.smtputf8_enable ? "5.5.4 Syntax: VRFY address [SMTPUTF8]"
                                                  : "5.5.4 Syntax: VRFY address");
    const auto address = smtp::parse_vrfy(argument, options_.path);
    if (!address) return turn(501, "5.1.3 Bad recipient address syntax");
    // The same for everybody who is asked about: nobody learns here who has a mailbox.
    return turn(252, "2.0.0 " + mail::external(*address));
}

Turn Dialogue::etrn(std::string_view argument) {
    if (options_.smtpd_helo_required && helo_.empty())
        return turn(503, "Error: send HELO/EHLO first");
    if (in_transaction_) return turn(503, "Error: MAIL transaction in progress");
    if (argument.empty() || argument.find_first_of(" \t") != argument.npos)
        return turn(500, "Syntax: ETRN domain");
    if (client_.stand_alone) return turn(458, "Unable to queue messages");
    return turn(459, "<" + printable(argument) + ">: service unavailable");
}

Turn Dialogue::goodbye(std::string_view line) {
    where_ = "UNKNOWN";
    log_.warning("non-SMTP command from " + client_.label() + ": " +
                 printable(line.substr(0, 100)));
    end_transaction();
    return turn(221, "2.7.0 Error: I can break rules, too. Goodbye.", Next::Close);
}

Reply Dialogue::overlong_command(std::string_view beginning) {
    where_ = "UNKNOWN";
    counts_.add(Verb::Unknown);
    ++errors_;
    log_.warning(client_.label() +
                 ": request longer than 2048: " + printable(beginning.substr(0, 30)) + "...");
    return Reply(500, "5.5.2 " + options_.myhostname + " Error: command too long");
}

bool Dialogue::is_exhausted() const {
    return errors_ >= options_.smtpd_hard_error_limit;
}

bool Dialogue::is_slowed() const {
    return errors_ > options_.smtpd_soft_error_limit;
}

Reply Dialogue::too_many_errors() {
    log_.info("too many errors after " + std::string(where_) + " from " + client_.label());
    return Reply(421, "4.7.0 " + options_.myhostname + " Error: too many errors");
}

std::string Dialogue::protocol() const {
    if (!esmtp_) return "SMTP";
    return in_transaction_ && envelope_.smtputf8 ? "UTF8SMTP" : "ESMTP";
}

std::string Dialogue::disconnect_line() const {
    return concat({"disconnect from ", client_.label(), counts_.text()});
}

}  // namespace postrider::intake
