#include "config/manual.h"

#include <string_view>

#include "config/expand.h"
#include "config/parameters.h"
#include "core/ascii.h"

namespace postrider::config {
namespace {

constexpr std::string_view kHead = R"(.TH MAIN.CF 5 2026-11-22 postrider "File formats"
.SH NAME
main.cf \- configuration of postrider
.SH SYNOPSIS
.I /etc/postrider/main.cf
.SH DESCRIPTION
The file
.B main.cf
says how
.BR postriderd (8)
handles mail.
Its syntax, the names of its parameters and their meaning are those of Postfix,
and what it does not set has a default, so that an empty file is a complete one.
.PP
Each line has the form
.IP
.I name
.B =
.I value
.PP
A line that begins with white space continues the one before.
Empty lines and lines whose first character is # are comments.
A name that is set twice has its last value; a warning says so.
.PP
A value may refer to others:
.TP
.BR $name ", " ${name} ", " $(name)
The value of that parameter.
.TP
.B ${name?text}
text, if the value is not empty;
.B ${name:text}
if it is empty;
.B ${name?{text}:{other}}
has both.
.TP
.B ${{left} == {right} ? {text} : {other}}
The same by comparison, with ==, !=, <, <=, >= or >.
.TP
.B $$
A dollar sign.
.PP
Times have a unit: s, m, h, d or w.
Lists are parted by comma or white space.
Tables are written
.IR type : name ,
such as hash:/etc/postrider/sasl_passwd.
.PP
The daemon reads the file when it starts and at
.BR "postrider reload" .
.B postconf \-n
shows what is set,
.B postconf \-e
changes it,
.B postrider check
tells what is wrong with it.
)";

constexpr std::string_view kOthers = R"(.SH OTHER PARAMETERS OF POSTFIX
Further parameters of Postfix may stand in the file.
Those that govern what postrider does not have are accepted; others are named in
a warning when they are set; and those whose absence would make mail less secure
keep the daemon from starting:
)";

constexpr std::string_view kTail = R"(.SH PARAMETERS OF TRANSPORTS
Limits of destinations can be set for one transport, smtp or relay:
.BR smtp_destination_rate_delay ,
.BR relay_destination_recipient_limit
and their kin stand for the parameters whose names begin with default.
.SH FILES
.TP
.I /etc/postrider/main.cf
The file; another directory is named by \-c or by the environment's MAIL_CONFIG.
.SH SEE ALSO
.BR postconf (1),
.BR postmap (1),
.BR postrider (8),
.BR postriderd (8)
)";

/// Text as roff takes it for text.
std::string escaped(std::string_view text) {
    std::string result;
    if (text.starts_with('.') || text.starts_with('\'')) result += "\\&";
    for (const char c : text) {
        if (c == '\\')
            result += "\\e";
        else if (c == '-')
            result += "\\-";
        else
            result += c;
    }
    return result;
}

/// A sentence begins a line, and lines are short: roff fills them anew, and people read the source.
std::string filled(std::string_view text) {
    constexpr std::size_t kWidth = 76;
    std::string result;
    std::string line;
    const auto end_line = [&] {
        if (!line.empty()) result += escaped(line) + "\n";
        line.clear();
    };
    for (text = trimmed(text); !text.empty(); text = trimmed(text)) {
        const std::string_view word = text.substr(0, text.find(' '));
        text.remove_prefix(word.size());
        if (line.size() + 1 + word.size() > kWidth) end_line();
        line.append(line.empty() ? "" : " ").append(word);
        if (word.ends_with('.')) end_line();
    }
    end_line();
    return result;
}

/// The value with every default in force, where main.cf's way to write it is a puzzle.
std::string resolved(std::string_view value) {
    const Lookup look_up = [](std::string_view name) -> std::optional<std::string_view> {
        const auto* const row = find_parameter(name);
        return row == nullptr ? std::nullopt : std::optional(row->default_value);
    };
    return expand(value, look_up).value_or({});
}

std::string default_shown(const Parameter& parameter) {
    if (parameter.name == "myhostname") return "the system's name";
    if (parameter.name == "mydomain") return "what follows the first dot of myhostname";
    if (parameter.name == "mynetworks") return "from mynetworks_style and inet_interfaces";
    if (parameter.name == "config_directory") return "where this file is";
    if (parameter.name == "mail_version") return "of the program";
    std::string value(parameter.default_value);
    if (value.find('{') != value.npos && value.find('$') != value.npos) value = resolved(value);
    return value.empty() ? "empty" : value;
}

void append_parameter(std::string& page, const Parameter& parameter) {
    page += ".TP\n.BR " + std::string(parameter.name) +
            " \" (default: " + escaped(default_shown(parameter)) + ")\"\n" +
            filled(parameter.meaning);
    if (parameter.type == Type::Choice && !parameter.choices.empty())
        page += filled("One of: " + std::string(parameter.choices) + ".");
    if (parameter.type == Type::Integer && parameter.range.max != 0)
        page += "From " + std::to_string(parameter.range.min) + " to " +
                std::to_string(parameter.range.max) + ".\n";
}

}  // namespace

std::string manual_page() {
    std::string page(kHead);
    std::string refused;
    for (const auto& subject : subjects()) {
        page += ".SH " + ascii_uppercase(subject.title) + "\n";
        for (const auto& parameter : subject.rows) {
            if (parameter.treatment == Treatment::Served) append_parameter(page, parameter);
            if (parameter.treatment == Treatment::Refused)
                refused += (refused.empty() ? "" : ",\n") + std::string(parameter.name);
        }
    }
    return page.append(kOthers).append(refused).append(".\n").append(kTail);
}

}  // namespace postrider::config
