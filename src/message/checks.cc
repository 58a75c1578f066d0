#include "message/checks.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "core/ascii.h"
#include "message/address_list.h"
#include "message/header_field.h"

namespace postrider::message {
namespace {

using Kind = CheckAction::Kind;

constexpr std::size_t kLoggedContentMax = 200;

constexpr std::pair<std::string_view, Kind> kWords[] = {
    {"BCC", Kind::Bcc},         {"DISCARD", Kind::Discard},   {"DUNNO", Kind::Dunno},
    {"FILTER", Kind::Filter},   {"HOLD", Kind::Hold},         {"IGNORE", Kind::Ignore},
    {"INFO", Kind::Info},       {"OK", Kind::Dunno},          {"PASS", Kind::Pass},
    {"PREPEND", Kind::Prepend}, {"REDIRECT", Kind::Redirect}, {"REJECT", Kind::Reject},
    {"REPLACE", Kind::Replace}, {"STRIP", Kind::Strip},       {"WARN", Kind::Warn},
};

/// The start of the content, not cut inside a character.
std::string_view excerpt(std::string_view content) {
    if (content.size() <= kLoggedContentMax) return content;
    std::size_t length = kLoggedContentMax;
    while (length > 0 && (static_cast<unsigned char>(content[length]) & 0xc0) == 0x80) --length;
    return content.substr(0, length);
}

bool is_header(std::string_view text) {
    return field_name_length(text) > 0;
}

}  // namespace

CheckAction parse_check_action(std::string_view rule) {
    const std::size_t end = std::min(rule.find_first_of(" \t"), rule.size());
    const std::string_view word = rule.substr(0, end);
    std::string_view text = rule.substr(end);
    while (!text.empty() && is_ascii_space(text.front())) text.remove_prefix(1);
    for (const auto& [name, kind] : kWords) {
        if (equals_ignoring_case(word, name)) return CheckAction{kind, text};
    }
    return CheckAction{Kind::Unknown, text};
}

CheckEffect ContentChecks::check(const table::Tables& tables, Subject subject,
                                 std::string_view content) {
    if (!enabled_ || tables.empty()) return {};
    const table::Answer answer = tables.find(content);
    if (!answer) {
        log_.warning(
            fmt::format("{}: {} map lookup problem -- message not accepted, try again later",
                        context_.queue_id, tables.parameter()));
        if (!refusal_ || refusal_->status.status_class == 5) {
            refusal_ = Refusal{{4, 3, 0}, "Temporary lookup failure"};
        }
        return {};
    }
    if (!answer->has_value()) return {};
    return apply(parse_check_action(**answer), tables.parameter(), subject, content, **answer);
}

CheckEffect ContentChecks::apply(const CheckAction& action, const std::string& parameter,
                                 Subject subject, std::string_view content,
                                 const std::string& rule) {
    if (!is_usable(action, parameter, subject)) return {};
    const std::string text(action.text);
    CheckEffect effect;
    switch (action.kind) {
        case Kind::Reject:
            reject(text);
            enabled_ = false;
            log("reject", subject, content,
                mail::to_string(refusal_->status) + " " + refusal_->text);
            break;
        case Kind::Discard:
            log("discard", subject, content, text);
            discarded_ = true;
            enabled_ = false;
            break;
        case Kind::Redirect:
            log("redirect", subject, content, text);
            redirect_ = text;
            enabled_ = false;
            break;
        case Kind::Pass:
            log("pass", subject, content, text);
            enabled_ = false;
            break;
        case Kind::Hold:
            if (!held_ && !discarded_) log("hold", subject, content, text);
            held_ = true;
            break;
        case Kind::Filter:
            log("filter", subject, content, text);
            filter_ = text;
            break;
        case Kind::Bcc:
            log("bcc", subject, content, text);
            bcc_.push_back(text);
            break;
        case Kind::Info:
            log("info", subject, content, text);
            break;
        case Kind::Warn:
            log("warning", subject, content, text);
            break;
        case Kind::Prepend:
            log("prepend", subject, content, text);
            effect.prepended = text;
            break;
        case Kind::Replace:
            log("replace", subject, content, text);
            effect.kind = CheckEffect::Kind::Replace;
            effect.replacement = text;
            break;
        case Kind::Strip:
            log("strip", subject, content, text);
            effect.kind = CheckEffect::Kind::Drop;
            break;
        case Kind::Ignore:
            effect.kind = CheckEffect::Kind::Drop;
            break;
        case Kind::Dunno:
            break;
        case Kind::Unknown:
            log_.warning(fmt::format("unknown command in {} map: {}", parameter, rule));
            break;
    }
    return effect;
}

// A refusal for now outweighs one for good: nothing may be bounced because of a doubt.
void ContentChecks::reject(std::string_view text) {
    Refusal refusal{{5, 7, 1}, "message content rejected"};
    if (const auto status = mail::parse_status(text)) {
        refusal = Refusal{*status, std::string(mail::after_status(text))};
        if (status->status_class == 2) {
            log_.warning(fmt::format("bad DSN action in {} -- need 4.x.x or 5.x.x", text));
            refusal.status.status_class = 4;
        }
    } else if (!text.empty()) {
        refusal.text = std::string(text);
    }
    if (!refusal_ || refusal_->status.status_class == 5) refusal_ = std::move(refusal);
}

bool ContentChecks::is_usable(const CheckAction& action, const std::string& parameter,
                              Subject subject) const {
    const std::string_view text = action.text;
    const auto complain = [&](std::string complaint) {
        log_.warning(complaint);
        return false;
    };
    const bool wants_header = subject == Subject::Header && !text.empty() && !is_header(text);
    constexpr const char* kBadHeader =
        "bad {} header text \"{}\" in {} map -- need \"headername: headervalue\"";
    constexpr const char* kNoText = "{} action without text in {} map";

    if (action.kind == Kind::Filter && text.empty()) {
        return complain(fmt::format("missing FILTER command argument in {} map", parameter));
    }
    if (action.kind == Kind::Filter && text.find(':') == std::string_view::npos) {
        return complain(fmt::format("bad FILTER command {} in {} -- need transport:destination",
                                    text, parameter));
    }
    const bool is_address =
        text.find('@') != std::string_view::npos && !parse_address_list(text).empty();
    if (action.kind == Kind::Redirect && !is_address) {
        return complain(fmt::format("bad REDIRECT target \"{}\" in {} map -- need user@domain",
                                    text, parameter));
    }
    if (action.kind == Kind::Bcc && !is_address) {
        return complain(
            fmt::format("bad BCC address \"{}\" in {} map -- need user@domain", text, parameter));
    }
    if (action.kind == Kind::Prepend && text.empty()) {
        return complain(fmt::format(kNoText, "PREPEND", parameter));
    }
    if (action.kind == Kind::Replace && text.empty()) {
        return complain(fmt::format(kNoText, "REPLACE", parameter));
    }
    if (action.kind == Kind::Prepend && wants_header) {
        return complain(fmt::format(kBadHeader, "PREPEND", text, parameter));
    }
    if (action.kind == Kind::Replace && wants_header) {
        return complain(fmt::format(kBadHeader, "REPLACE", text, parameter));
    }
    return true;
}

void ContentChecks::log(std::string_view word, Subject subject, std::string_view content,
                        std::string_view text) const {
    std::string line = fmt::format("{}: {}: {} {} from {}; from=<{}>", context_.queue_id, word,
                                   subject == Subject::Header ? "header" : "body", excerpt(content),
                                   context_.origin, context_.sender);
    if (context_.recipient) line += fmt::format(" to=<{}>", *context_.recipient);
    if (!context_.proto.empty()) line += fmt::format(" proto={}", context_.proto);
    if (!context_.helo.empty()) line += fmt::format(" helo=<{}>", context_.helo);
    if (!text.empty()) line += fmt::format(": {}", text);
    log_.info(line);
}

}  // namespace postrider::message
