#include "ledger.h"

#include <algorithm>

#include <fmt/format.h>

namespace postrider::simulation {
namespace {

std::size_t leading_number(std::string_view text) {
    std::size_t number = 0;
    for (const char c : text) {
        if (c < '0' || c > '9') break;
        number = number * 10 + static_cast<std::size_t>(c - '0');
    }
    return number;
}

/// `X-Sim: 17` anywhere at the beginning of a line.
std::optional<std::size_t> find_number(std::string_view content) {
    constexpr std::string_view kField = "X-Sim: ";
    std::size_t at = content.starts_with(kField) ? 0 : content.find("\nX-Sim: ");
    if (at == std::string_view::npos) return std::nullopt;
    at = content.find(kField, at) + kField.size();
    return leading_number(content.substr(at));
}

bool is_summary(std::string_view content) {
    return content.find("\r\nSubject: Undelivered Mail: ") != std::string_view::npos;
}

std::vector<std::string_view> lines_of(std::string_view text) {
    std::vector<std::string_view> lines;
    while (!text.empty()) {
        const std::size_t end = std::min(text.find("\r\n"), text.size());
        lines.push_back(text.substr(0, end));
        text.remove_prefix(std::min(end + 2, text.size()));
    }
    return lines;
}

/// The word behind ` id ` in our Received: field.
std::string queue_id_in(std::string_view content) {
    const std::size_t at = content.find(" id ");
    if (at == std::string_view::npos) return {};
    const std::string_view rest = content.substr(at + 4);
    return std::string(rest.substr(0, rest.find_first_of(" ;\t\r\n")));
}

}  // namespace

std::optional<std::string> header_field(std::string_view content, std::string_view name) {
    for (const std::string_view line : lines_of(content.substr(0, content.find("\r\n\r\n")))) {
        if (line.size() > name.size() + 1 && line.starts_with(name) && line[name.size()] == ':') {
            return std::string(line.substr(name.size() + 2));
        }
    }
    return std::nullopt;
}

std::size_t Ledger::open() {
    submitted_.emplace_back();
    return submitted_.size() - 1;
}

void Ledger::submit(std::size_t number, Submitted what) {
    submitted_[number] = std::move(what);
}

void Ledger::accepted(std::size_t number, std::string id) {
    submitted_[number].fate = Submitted::Fate::Accepted;
    submitted_[number].id = std::move(id);
}

void Ledger::refused(std::size_t number) {
    submitted_[number].fate = Submitted::Fate::Refused;
}

void Ledger::count_deletion(const std::string& id, int by) {
    for (Submitted& one : submitted_) {
        if (one.id == id) one.deletions += by;
    }
}

void Ledger::violation(std::string text) {
    world_.note("VIOLATION", text);
    violations_.push_back(std::move(text));
}

std::function<void()> Ledger::stored(Stored what) {
    auto copy = std::make_shared<Copy>();
    copy->clean = what.clean;
    ++copy_count_;
    if (what.from.empty()) {
        take_report(what, copy);
    } else {
        take_original(what, copy);
    }
    return [this, copy] { copy->read = world_.now(); };
}

void Ledger::take_original(const Stored& what, const std::shared_ptr<Copy>& copy) {
    const auto number = find_number(what.content);
    if (!number || *number >= submitted_.size()) {
        return violation("the smarthost got a message that nobody sent");
    }
    Submitted& original = submitted_[*number];
    if (original.id.empty()) original.id = queue_id_in(what.content);
    if (what.from != original.from) violation(fmt::format("message {}: wrong sender", *number));
    check_content(*number, what.content);
    for (const std::string& recipient : what.recipients) {
        const auto& all = original.recipients;
        if (std::find(all.begin(), all.end(), recipient) == all.end()) {
            violation(
                fmt::format("message {}: <{}> is none of its recipients", *number, recipient));
        }
        copies_[{*number, recipient}].push_back(copy);
    }
}

/// P7: our Received: field, then what the client sent.
void Ledger::check_content(std::size_t number, const std::string& content) {
    const std::string& original = submitted_[number].content;
    const bool whole = content.size() > original.size() && content.ends_with(original);
    if (!whole) {
        return violation(fmt::format("message {}: its content has changed: {} bytes of {}", number,
                                     content.size(), original.size()));
    }
    const auto trace =
        lines_of(std::string_view(content).substr(0, content.size() - original.size()));
    for (std::size_t i = 0; i < trace.size(); ++i) {
        const bool good = i == 0 ? trace[i].starts_with("Received: ")
                                 : trace[i].starts_with("\t") || trace[i].starts_with(" ");
        if (!good) violation(fmt::format("message {}: not a trace field: {}", number, trace[i]));
    }
}

std::optional<Ledger::Report> Ledger::parse_report(std::string_view content) {
    if (is_summary(content)) return parse_summary(content);
    const auto number = find_number(content);
    if (!number || *number >= submitted_.size()) return std::nullopt;
    Report report;
    report.numbers.push_back(*number);
    std::string recipient;
    for (const std::string_view line : lines_of(content)) {
        constexpr std::string_view kRecipient = "Final-Recipient: rfc822; ";
        if (line.starts_with(kRecipient)) recipient = line.substr(kRecipient.size());
        if (line == "Action: failed") report.failed.emplace_back(*number, recipient);
    }
    return report;
}

/// Paragraphs; the subject says which message it is, the lines below it who.
std::optional<Ledger::Report> Ledger::parse_summary(std::string_view content) {
    Report report;
    for (const std::string_view line : lines_of(content)) {
        constexpr std::string_view kSubject = "Subject: simulated ";
        if (line.starts_with(kSubject)) {
            report.numbers.push_back(leading_number(line.substr(kSubject.size())));
            if (report.numbers.back() >= submitted_.size()) return std::nullopt;
        }
        const std::size_t end = line.find(">:");
        if (!line.starts_with('<') || end == std::string_view::npos) continue;
        if (report.numbers.empty()) return std::nullopt;
        report.failed.emplace_back(report.numbers.back(), std::string(line.substr(1, end - 1)));
    }
    return report;
}

void Ledger::take_report(const Stored& what, const std::shared_ptr<Copy>& copy) {
    auto report = parse_report(what.content);
    const auto id = header_field(what.content, "Message-Id");
    const bool typed =
        is_summary(what.content) || what.content.find("multipart/report") != std::string::npos;
    if (!report || !id || !typed || report->numbers.empty()) {
        return violation("a report that is not well formed:\n" + what.content);
    }
    for (const std::size_t number : report->numbers) {
        if (what.recipients == std::vector<std::string>{submitted_[number].from}) continue;
        violation(fmt::format("message {}: its report goes to somebody else", number));
    }
    Report& known = reports_.try_emplace(*id, *std::move(report)).first->second;
    known.stored.push_back(copy);
    for (const Pair& one : known.failed) reported_[one].insert(*id);
}

void Ledger::told(const Stored& what) {
    if (what.from.empty()) {
        const auto report = parse_report(what.content);
        if (!report) return;
        for (const Pair& one : report->failed) told_.insert(one);
    } else if (const auto number = find_number(what.content)) {
        for (const std::string& one : what.recipients) told_.insert({*number, one});
    }
}

void Ledger::logged(std::string_view text) {
    const std::size_t colon = text.find(": ");
    if (colon == std::string_view::npos || colon > 20) return;
    lines_[std::string(text.substr(0, colon))].emplace_back(text.substr(colon + 2));
}

void Ledger::courier_died(MonotonicTime since) {
    const auto excuse = [since](const std::vector<std::shared_ptr<Copy>>& all) {
        for (const auto& copy : all) {
            if (copy->read && *copy->read >= since) copy->excused = true;
        }
    };
    for (const auto& [pair, all] : copies_) excuse(all);
    for (const auto& [id, report] : reports_) excuse(report.stored);
}

void Ledger::listed(const queue::ListedMessage& message, const std::string& content) {
    using Place = queue::ListedMessage::Place;
    if (message.envelope.reverse_path.is_null()) {
        const auto report = parse_report(content);
        const auto id = header_field(content, "Message-Id");
        if (!report || !id) return violation("a report in the queue that is not well formed");
        for (const Pair& one : report->failed) reported_[one].insert(*id);
        return;
    }
    const auto number = find_number(content);
    if (!number || *number >= submitted_.size()) {
        return violation("the queue lists a message that nobody sent");
    }
    if (submitted_[*number].id.empty()) submitted_[*number].id = message.id.str();
    for (const queue::QueuedRecipient& one : message.recipients) {
        const Pair pair(*number, mail::external(one.recipient.address));
        (message.place == Place::Dead ? dead_ : listed_).insert(pair);
    }
}

void Ledger::balance() {
    for (std::size_t number = 0; number < submitted_.size(); ++number) balance_one(number);
    for (const auto& [id, report] : reports_) {
        if (may_differ(report.stored, 1)) continue;
        violation(fmt::format("message {}: its report {} came {} times", report.numbers.front(), id,
                              report.stored.size()));
    }
}

/// Whether so many copies can be explained: by answers that were never read, or read and perhaps
/// not recorded when the courier died.
bool Ledger::may_differ(const std::vector<std::shared_ptr<Copy>>& all, std::size_t allowed) const {
    for (const auto& copy : all) {
        if (!*copy->clean || !copy->read || copy->excused) ++allowed;
    }
    return all.size() <= allowed;
}

void Ledger::balance_one(std::size_t number) {
    const Submitted& message = submitted_[number];
    for (const std::string& recipient : message.recipients) {
        const Pair pair(number, recipient);
        const auto& copies = copies_[pair];
        const auto& reports = reported_[pair];
        const std::string name =
            fmt::format("message {} ({}) to <{}>", number, message.id, recipient);
        const bool is_known = listed_.contains(pair) || dead_.contains(pair);
        const bool is_somewhere =
            !copies.empty() || !reports.empty() || is_known || message.deletions > 0;
        switch (message.fate) {
            case Submitted::Fate::Accepted:
                if (!is_somewhere && !told_.contains(pair)) violation("P2: lost: " + name);
                if (message.deletions == 0 && !is_known) check_log(number, recipient);
                break;
            case Submitted::Fate::Refused:
                if (is_somewhere)
                    violation("R4: refused and yet in the queue or delivered: " + name);
                break;
            case Submitted::Fate::Unknown:
                break;
        }
        if (!may_differ(copies, 1)) {
            violation(fmt::format("P3: {} copies of {}", copies.size(), name));
        }
        if (reports.size() > 1) {
            violation(fmt::format("{} reports about {}", reports.size(), name));
        }
        if (!reports.empty() && !copies.empty() && !may_differ(copies, 0)) {
            violation("P4: delivered and reported as failed: " + name);
        }
    }
}

/// P11: the log knows how it ended.
void Ledger::check_log(std::size_t number, const std::string& recipient) {
    const Submitted& message = submitted_[number];
    for (const std::string& line : lines_[message.id]) {
        const bool is_final = line.find("status=sent ") != std::string::npos ||
                              line.find("status=bounced ") != std::string::npos;
        if (is_final && line.starts_with("to=<" + recipient + ">")) return;
        if (line.find("expired, returned to sender") != std::string::npos) return;
    }
    violation(fmt::format("P11: the log does not say what became of message {} ({}) to <{}>",
                          number, message.id, recipient));
}

std::vector<std::string> Ledger::accepted_ids() const {
    std::vector<std::string> ids;
    for (const Submitted& one : submitted_) {
        if (one.fate == Submitted::Fate::Accepted) ids.push_back(one.id);
    }
    return ids;
}

std::size_t Ledger::accepted_count() const {
    return static_cast<std::size_t>(
        std::count_if(submitted_.begin(), submitted_.end(),
                      [](const Submitted& one) { return one.fate == Submitted::Fate::Accepted; }));
}

}  // namespace postrider::simulation
