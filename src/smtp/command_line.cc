#include "smtp/command_line.h"

#include <algorithm>
#include <array>
#include <limits>
#include <utility>

#include "core/ascii.h"
#include "smtp/commands.h"

namespace postrider::smtp {
namespace {

constexpr std::array<std::string_view, kVerbCount> kVerbNames = {
    "HELO", "EHLO", "XCLIENT", "XFORWARD", "STARTTLS", "AUTH", "MAIL", "RCPT",    "DATA",
    "BDAT", "RSET", "NOOP",    "VRFY",     "ETRN",     "QUIT", "HELP", "UNKNOWN",
};

bool is_blank(char c) {
    return c == ' ' || c == '\t';
}

std::string_view without_leading_blanks(std::string_view text) {
    while (!text.empty() && is_blank(text.front())) text.remove_prefix(1);
    return text;
}

std::string_view without_blanks(std::string_view text) {
    text = without_leading_blanks(text);
    while (!text.empty() && is_blank(text.back())) text.remove_suffix(1);
    return text;
}

/// Where the text's first unquoted byte is that `stops` likes; npos if none, or a quote stays open.
template <typename Predicate>
std::size_t find_unquoted(std::string_view text, Predicate stops) {
    bool quoted = false;
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (text[i] == '\\' && quoted) {
            ++i;
        } else if (text[i] == '"') {
            quoted = !quoted;
        } else if (!quoted && stops(text[i])) {
            return i;
        }
    }
    return std::string_view::npos;
}

/// `@a,@b:user@c` without its route; RFC 5321 4.1.1.3 wants it ignored.
std::string_view without_route(std::string_view path) {
    if (path.empty() || path.front() != '@') return path;
    bool literal = false;
    for (std::size_t i = 0; i < path.size(); ++i) {
        if (path[i] == '[') literal = true;
        if (path[i] == ']') literal = false;
        if (path[i] == ':' && !literal) return path.substr(i + 1);
    }
    return path;
}

/// An address as it stands between the brackets.
std::optional<mail::Address> parse_path(std::string_view path, const PathRules& rules) {
    if (path.size() > rules.path_max || !is_utf8(path)) return std::nullopt;
    if (std::any_of(path.begin(), path.end(), [](char c) { return is_ascii_control(c); }))
        return std::nullopt;
    auto address = mail::parse_address(without_route(path));
    if (!address) return std::nullopt;
    if (address->local_part.size() > rules.local_part_max) return std::nullopt;
    if (address->domain.size() > rules.domain_max) return std::nullopt;
    return address;
}

struct PathAndRest {
    mail::Address address;
    std::string_view rest;  ///< The parameters.
    std::string_view text;  ///< The path as given, without brackets.
};

/// Takes `FROM:` or `TO:` and the path off the front of an argument.
std::variant<PathAndRest, Fault> take_path(std::string_view argument, std::string_view keyword,
                                           const PathRules& rules) {
    if (!starts_with_ignoring_case(argument, keyword)) return Fault{Fault::Kind::Syntax, {}};
    std::string_view text = argument.substr(keyword.size());
    // `FROM :<a>` is no form anybody sends; `FROM: <a>` is what monit sends.
    const std::string_view path_on = without_leading_blanks(text);
    if (rules.strict && path_on.size() != text.size()) return Fault{Fault::Kind::Syntax, {}};
    text = path_on;
    if (text.empty()) return Fault{Fault::Kind::Syntax, {}};

    PathAndRest result;
    std::string_view path;
    if (text.front() == '<') {
        text.remove_prefix(1);
        const std::size_t end = find_unquoted(text, [](char c) { return c == '>'; });
        if (end == std::string_view::npos) return Fault{Fault::Kind::Address, {}};
        path = text.substr(0, end);
        text.remove_prefix(end + 1);
        if (!text.empty() && !is_blank(text.front())) return Fault{Fault::Kind::Address, {}};
        if (!rules.strict) path = without_blanks(path);
    } else {
        if (rules.strict) return Fault{Fault::Kind::Address, {}};
        const std::size_t end = std::min(find_unquoted(text, is_blank), text.size());
        path = text.substr(0, end);
        text.remove_prefix(end);
    }
    auto address = parse_path(path, rules);
    if (!address) return Fault{Fault::Kind::Address, {}};
    result.address = *std::move(address);
    result.rest = without_blanks(text);
    result.text = path;
    return result;
}

struct Parameter {
    std::string_view whole;
    std::string_view name;
    std::string_view value;
    bool has_value = false;
};

Parameter take_parameter(std::string_view& rest) {
    Parameter parameter;
    const std::size_t end = std::min(rest.find_first_of(" \t"), rest.size());
    parameter.whole = rest.substr(0, end);
    rest = without_leading_blanks(rest.substr(end));
    const std::size_t equals = parameter.whole.find('=');
    parameter.name = parameter.whole.substr(0, equals);
    if (equals != std::string_view::npos) {
        parameter.value = parameter.whole.substr(equals + 1);
        parameter.has_value = true;
    }
    return parameter;
}

bool is_number(std::string_view text) {
    return !text.empty() && std::all_of(text.begin(), text.end(), is_ascii_digit);
}

/// A decimal number below 2^63; nothing if it is larger. `text` has only digits.
std::optional<std::uint64_t> to_number(std::string_view text) {
    constexpr std::uint64_t max = std::numeric_limits<std::int64_t>::max();
    std::uint64_t value = 0;
    for (const char c : text) {
        const auto digit = static_cast<std::uint64_t>(c - '0');
        if (value > (max - digit) / 10) return std::nullopt;
        value = value * 10 + digit;
    }
    return value;
}

bool is_printable_ascii(std::string_view text) {
    return std::all_of(text.begin(), text.end(),
                       [](char c) { return is_ascii(c) && !is_ascii_control(c); });
}

std::optional<Fault> apply(const Parameter& parameter, MailCommand& command) {
    const auto is = [&](std::string_view name) {
        return equals_ignoring_case(parameter.name, name);
    };
    if (is("SIZE") && parameter.has_value) {
        if (!is_number(parameter.value) || command.size) return Fault{Fault::Kind::Size, {}};
        command.size = to_number(parameter.value);
        if (!command.size) return Fault{Fault::Kind::SizeTooBig, {}};
    } else if (equals_ignoring_case(parameter.whole, "BODY=8BITMIME")) {
        command.body = mail::BodyType::EightBitMime;
    } else if (equals_ignoring_case(parameter.whole, "BODY=7BIT")) {
        command.body = mail::BodyType::SevenBit;
    } else if (equals_ignoring_case(parameter.whole, "SMTPUTF8")) {
        command.smtputf8 = true;
    } else if (is("RET") && parameter.has_value) {
        if (command.dsn_return != mail::DsnReturn::Unspecified)
            return Fault{Fault::Kind::Return, {}};
        if (equals_ignoring_case(parameter.value, "FULL")) {
            command.dsn_return = mail::DsnReturn::Full;
        } else if (equals_ignoring_case(parameter.value, "HDRS")) {
            command.dsn_return = mail::DsnReturn::Headers;
        } else {
            return Fault{Fault::Kind::Return, {}};
        }
        command.uses_dsn = true;
    } else if (is("ENVID") && parameter.has_value) {
        const auto decoded = decode_xtext(parameter.value);
        if (!decoded || decoded->empty() || decoded->size() > 100 ||
            !is_printable_ascii(*decoded) || !command.envelope_id.empty())
            return Fault{Fault::Kind::EnvelopeId, {}};
        command.envelope_id = *decoded;
        command.uses_dsn = true;
    } else if (is("AUTH") && parameter.has_value) {
        return Fault{Fault::Kind::Auth, {}};
    } else {
        return Fault{Fault::Kind::Unsupported, std::string(parameter.whole)};
    }
    return std::nullopt;
}

/// ORCPT: `type;address`, the address in xtext, or as RFC 6533 3 has it for `utf-8`.
std::optional<std::string> parse_orcpt(std::string_view value) {
    const std::size_t semicolon = value.find(';');
    if (semicolon == std::string_view::npos || semicolon == 0) return std::nullopt;
    const std::string_view type = value.substr(0, semicolon);
    const std::string_view coded = value.substr(semicolon + 1);
    if (!std::all_of(type.begin(), type.end(),
                     [](char c) { return is_ascii_alnum(c) || c == '-'; }))
        return std::nullopt;

    const auto address =
        equals_ignoring_case(type, "utf-8") ? decode_unitext(coded) : decode_xtext(coded);
    if (!address || address->empty() || address->size() > 500 || !is_utf8(*address))
        return std::nullopt;
    if (std::any_of(address->begin(), address->end(), [](char c) { return is_ascii_control(c); }))
        return std::nullopt;
    return std::string(type) + ";" + *address;
}

std::optional<Fault> apply(const Parameter& parameter, RcptCommand& command) {
    if (equals_ignoring_case(parameter.name, "NOTIFY") && parameter.has_value) {
        const auto notify = parse_notify(parameter.value);
        if (!notify || !command.recipient.notify.is_unspecified())
            return Fault{Fault::Kind::Notify, {}};
        command.recipient.notify = *notify;
    } else if (equals_ignoring_case(parameter.name, "ORCPT") && parameter.has_value) {
        auto original = parse_orcpt(parameter.value);
        if (!original || !command.recipient.original_recipient.empty())
            return Fault{Fault::Kind::OriginalRecipient, {}};
        command.recipient.original_recipient = *std::move(original);
    } else {
        return Fault{Fault::Kind::Unsupported, std::string(parameter.whole)};
    }
    command.uses_dsn = true;
    return std::nullopt;
}

}  // namespace

std::string_view verb_name(Verb verb) {
    return kVerbNames[static_cast<std::size_t>(verb)];
}

CommandLine split_command(std::string_view line) {
    CommandLine result;
    line = without_blanks(line);
    const std::size_t end = std::min(line.find_first_of(" \t"), line.size());
    result.word = line.substr(0, end);
    result.argument = without_leading_blanks(line.substr(end));
    for (std::size_t i = 0; i + 1 < kVerbCount; ++i) {
        if (!equals_ignoring_case(result.word, kVerbNames[i])) continue;
        result.verb = static_cast<Verb>(i);
        break;
    }
    return result;
}

std::variant<MailCommand, Fault> parse_mail(std::string_view argument, const PathRules& rules) {
    auto path = take_path(argument, "FROM:", rules);
    if (auto* fault = std::get_if<Fault>(&path)) return std::move(*fault);
    auto& taken = std::get<PathAndRest>(path);

    MailCommand command;
    command.reverse_path = std::move(taken.address);
    for (std::string_view rest = taken.rest; !rest.empty();) {
        if (auto fault = apply(take_parameter(rest), command)) return *std::move(fault);
    }
    return command;
}

std::variant<RcptCommand, Fault> parse_rcpt(std::string_view argument, const PathRules& rules) {
    auto path = take_path(argument, "TO:", rules);
    if (auto* fault = std::get_if<Fault>(&path)) return std::move(*fault);
    auto& taken = std::get<PathAndRest>(path);
    if (taken.address.is_null()) return Fault{Fault::Kind::Address, {}};

    RcptCommand command;
    command.recipient = mail::Recipient(std::move(taken.address));
    for (std::string_view rest = taken.rest; !rest.empty();) {
        if (auto fault = apply(take_parameter(rest), command)) return *std::move(fault);
    }
    return command;
}

std::optional<BdatCommand> parse_bdat(std::string_view argument) {
    const Parameter count = take_parameter(argument);
    if (!is_number(count.whole)) return std::nullopt;
    const auto size = to_number(count.whole);
    if (!size) return std::nullopt;
    BdatCommand command;
    command.size = *size;
    command.last = !argument.empty();
    if (command.last && !equals_ignoring_case(argument, "LAST")) return std::nullopt;
    return command;
}

std::optional<mail::Address> parse_vrfy(std::string_view argument, const PathRules& rules) {
    const std::size_t space = argument.find_last_of(" \t");
    if (space != std::string_view::npos &&
        equals_ignoring_case(argument.substr(space + 1), "SMTPUTF8")) {
        argument = without_blanks(argument.substr(0, space));
    }
    if (argument.size() >= 2 && argument.front() == '<' && argument.back() == '>') {
        argument = argument.substr(1, argument.size() - 2);
    }
    auto address = parse_path(argument, rules);
    if (!address || address->is_null()) return std::nullopt;
    return address;
}

std::optional<mail::Notify> parse_notify(std::string_view value) {
    mail::Notify notify;
    while (true) {
        const std::size_t comma = std::min(value.find(','), value.size());
        const std::string_view word = value.substr(0, comma);
        if (equals_ignoring_case(word, "NEVER")) {
            notify.never = true;
        } else if (equals_ignoring_case(word, "SUCCESS")) {
            notify.success = true;
        } else if (equals_ignoring_case(word, "FAILURE")) {
            notify.failure = true;
        } else if (equals_ignoring_case(word, "DELAY")) {
            notify.delay = true;
        } else {
            return std::nullopt;
        }
        if (comma == value.size()) break;
        value.remove_prefix(comma + 1);
    }
    if (notify.never && (notify.success || notify.failure || notify.delay)) return std::nullopt;
    return notify;
}

}  // namespace postrider::smtp
