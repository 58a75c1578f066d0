#include "intake/etiquette.h"

#include <algorithm>

#include "core/ascii.h"

namespace postrider::intake {

using smtp::Verb;

bool ends_a_group(Verb verb) {
    switch (verb) {
        case Verb::Helo:
        case Verb::Ehlo:
        case Verb::Xclient:
        case Verb::Xforward:
        case Verb::StartTls:
        case Verb::Auth:
        case Verb::Data:
        case Verb::Noop:
        case Verb::Vrfy:
        case Verb::Etrn:
            return true;
        case Verb::Mail:
        case Verb::Rcpt:
        case Verb::Bdat:
        case Verb::Rset:
        case Verb::Quit:
        case Verb::Help:
        case Verb::Unknown:
            return false;
    }
    return false;
}

bool is_junk(Verb verb) {
    switch (verb) {
        case Verb::Helo:
        case Verb::Ehlo:
        case Verb::Rset:
        case Verb::Noop:
        case Verb::Vrfy:
        case Verb::Etrn:
        case Verb::Help:
            return true;
        case Verb::Xclient:
        case Verb::Xforward:
        case Verb::StartTls:
        case Verb::Auth:
        case Verb::Mail:
        case Verb::Rcpt:
        case Verb::Data:
        case Verb::Bdat:
        case Verb::Quit:
        case Verb::Unknown:
            return false;
    }
    return false;
}

bool is_header(std::string_view word) {
    return word.size() > 1 && word.find(':') != std::string_view::npos &&
           !equals_ignoring_case(word, "FROM:") && !equals_ignoring_case(word, "TO:");
}

bool is_http(std::string_view line) {
    const std::string_view version = line.substr(line.find_last_of(' ') + 1);
    return version.size() < line.size() && version.starts_with("HTTP/");
}

bool is_foreign(std::string_view beginning) {
    // RFC 5321 commands begin with a letter. A TLS hello may have no line end at all, so that
    // waiting for one would hold the slot until the timeout.
    if (beginning.empty()) return false;
    const char first = beginning.front();
    if (!is_ascii_alpha(first) && !is_ascii_space(first)) return true;
    return beginning.starts_with("SSH-");
}

}  // namespace postrider::intake
