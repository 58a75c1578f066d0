#include "options.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "core/ascii.h"
#include "smtp/command_line.h"

namespace postrider::apps {
namespace {

using Mode = SendmailOptions::Mode;

/// As getopt(3) wants it: a colon behind those that take a value.
constexpr std::string_view kOptionLetters = "A:B:C:F:GIL:N:O:R:UV:X:b:ce:f:h:imno:p:r:q:tvx";
constexpr std::string_view kVerpCharacters = "-=+";
constexpr std::size_t kEnvelopeIdMax = 100;

Unexpected fatal(std::string text) {
    return Unexpected(ErrorCode::Invalid, std::move(text));
}

char first_of(std::string_view value) {
    return value.empty() ? '\0' : value.front();
}

Mode mode_of_name(std::string_view name) {
    const std::string_view base = name.substr(name.rfind('/') + 1);
    if (base == "mailq") return Mode::ListQueue;
    if (base == "newaliases") return Mode::NewAliases;
    if (base == "smtpd") return Mode::Daemon;
    return Mode::Submit;
}

class Parser {
public:
    Parser(std::string_view name, const std::vector<std::string>& words) : words_(words) {
        options_.mode = mode_of_name(name);
    }

    Result<SendmailOptions> parse() {
        while (next_ < words_.size()) {
            const std::string& word = words_[next_];
            if (word.size() < 2 || word.front() != '-') break;
            ++next_;
            if (word == "--") break;
            // A bare -q has no value, whatever follows; getopt cannot say that.
            if (word == "-q") {
                flush_asked_ = true;
                continue;
            }
            auto read = cluster(std::string_view(word).substr(1));
            if (!read) return Unexpected(std::move(read).error());
        }
        options_.request.recipients.assign(words_.begin() + static_cast<std::ptrdiff_t>(next_),
                                           words_.end());
        auto settled = settle();
        if (!settled) return Unexpected(std::move(settled).error());
        return std::move(options_);
    }

private:
    /// The letters of one word: `ti`, `fann@x.example`, `tif`.
    Result<void> cluster(std::string_view letters) {
        while (!letters.empty()) {
            const char letter = letters.front();
            letters.remove_prefix(1);
            const std::size_t known = kOptionLetters.find(letter);
            if (letter == ':' || known == std::string_view::npos)
                return fatal("usage: sendmail [options]");
            if (known + 1 == kOptionLetters.size() || kOptionLetters[known + 1] != ':') {
                auto read = flag(letter);
                if (!read) return read;
                continue;
            }
            if (!letters.empty()) return with_value(letter, letters);
            if (next_ == words_.size()) return fatal("usage: sendmail [options]");
            return with_value(letter, words_[next_++]);
        }
        return {};
    }

    Result<void> flag(char letter) {
        switch (letter) {
            case 'G':
                options_.request.gateway = true;
                break;
            case 'I':
                options_.mode = Mode::NewAliases;
                break;
            case 'i':
                options_.request.dot_is_data = true;
                break;
            case 'n':
                return fatal("-n option not supported");
            case 't':
                options_.request.extract_recipients = true;
                break;
            default:  // -c -m -U -v -x: historic, or of no effect here.
                break;
        }
        return {};
    }

    Result<void> with_value(char letter, std::string_view value) {
        switch (letter) {
            case 'B':
                return body(value);
            case 'C':
                options_.config_directory = config_directory(value);
                break;
            case 'F':
                options_.request.full_name = std::string(value);
                options_.full_name_given = true;
                break;
            case 'N':
                notify(value);
                break;
            case 'R':
                dsn_return(value);
                break;
            case 'V':
                return envelope_id(value);
            case 'X':
                if (first_of(value) == 'V') return fatal("-XV option not supported");
                return fatal("unsupported: -X" + std::string(value));
            case 'b':
                return mode(value);
            case 'f':
            case 'r':
                options_.request.sender = std::string(value);
                break;
            case 'o':
                if (value == "i") options_.request.dot_is_data = true;
                if (value.starts_with('A')) options_.alias_file = std::string(value.substr(1));
                break;
            case 'q':
                return queue(value);
            default:  // -A -L -O -e -h -p: historic.
                break;
        }
        return {};
    }

    Result<void> body(std::string_view value) {
        if (equals_ignoring_case(value, "8BITMIME")) {
            options_.request.body = mail::BodyType::EightBitMime;
        } else if (equals_ignoring_case(value, "7BIT")) {
            options_.request.body = mail::BodyType::SevenBit;
        } else {
            return fatal("-B option needs 8BITMIME or 7BIT");
        }
        return {};
    }

    void notify(std::string_view value) {
        const auto parsed = smtp::parse_notify(value);
        if (parsed) {
            options_.request.notify = *parsed;
        } else {
            for (std::string_view rest = value; !rest.empty();) {
                const std::size_t comma = std::min(rest.find(','), rest.size());
                const std::string word(rest.substr(0, comma));
                rest.remove_prefix(std::min(comma + 1, rest.size()));
                if (smtp::parse_notify(word)) continue;
                warn("unknown DSN NOTIFY command value \"" + word + "\" in \"" +
                     std::string(value) + "\"");
                break;
            }
            warn("bad -N option value: '" + std::string(value) + "' -- ignored");
        }
    }

    void dsn_return(std::string_view value) {
        if (equals_ignoring_case(value, "full")) {
            options_.request.dsn_return = mail::DsnReturn::Full;
        } else if (equals_ignoring_case(value, "hdrs")) {
            options_.request.dsn_return = mail::DsnReturn::Headers;
        } else {
            warn("bad -R option value -- ignored");
        }
    }

    Result<void> envelope_id(std::string_view value) {
        // Two delimiters are how VERP was asked for, before -V was needed for this.
        if (value.size() == 2 && value.find_first_not_of(kVerpCharacters) == value.npos)
            return fatal("-XV option not supported");
        const bool printable = std::all_of(
            value.begin(), value.end(), [](char c) { return is_ascii(c) && !is_ascii_control(c); });
        if (value.size() > kEnvelopeIdMax) {
            warn("too long -V option value -- ignored");
        } else if (!printable) {
            warn("bad syntax in -V option value -- ignored");
        } else {
            options_.request.envelope_id = std::string(value);
        }
        return {};
    }

    Result<void> mode(std::string_view value) {
        switch (first_of(value)) {
            case 'd':
            case 'l':
                options_.mode = Mode::Daemon;
                break;
            case 'h':
            case 'H':
                options_.mode = Mode::Nothing;
                break;
            case 'i':
                options_.mode = Mode::NewAliases;
                break;
            case 'm':
                options_.mode = Mode::Submit;
                break;
            case 'p':
                options_.mode = Mode::ListQueue;
                break;
            case 's':
                options_.mode = Mode::StandAlone;
                break;
            default:
                return fatal("unsupported: -b" + std::string(value.substr(0, 1)));
        }
        return {};
    }

    Result<void> queue(std::string_view value) {
        if (is_ascii_digit(first_of(value))) {
            // `-bd -q30m` is how the historic daemon was started; `-q30m` alone runs nothing here.
            interval_asked_ = true;
        } else if (first_of(value) == 'I') {
            options_.mode = Mode::FlushId;
            options_.argument = std::string(value.substr(1));
        } else if (first_of(value) == 'R') {
            options_.mode = Mode::FlushSite;
            options_.argument = std::string(value.substr(1));
        } else {
            return fatal("-q" + std::string(value.substr(0, 1)) + " is not implemented");
        }
        return {};
    }

    /// What only all options together can tell.
    Result<void> settle() {
        const bool daemon = options_.mode == Mode::Daemon;
        if (interval_asked_ && !daemon) options_.mode = Mode::Nothing;
        if (flush_asked_ && daemon) warn("ignoring -q option in daemon mode");
        if (flush_asked_ && !daemon) options_.mode = Mode::Flush;
        if (options_.mode == Mode::Nothing) return {};

        if (options_.request.extract_recipients && options_.mode != Mode::Submit)
            return fatal("-t can be used only in delivery mode");
        if (options_.request.recipients.empty()) return {};
        switch (options_.mode) {
            case Mode::Submit:
            case Mode::Nothing:
                return {};
            case Mode::StandAlone:
                return fatal("stand-alone mode requires no recipient");
            case Mode::ListQueue:
                return fatal("display queue mode requires no recipient");
            case Mode::Flush:
            case Mode::FlushId:
                return fatal("flush queue mode requires no recipient");
            case Mode::FlushSite:
                return fatal("flush site requires no recipient");
            case Mode::NewAliases:
                return fatal("alias initialization mode requires no recipient");
            case Mode::Daemon:
                return fatal("daemon mode requires no recipient");
        }
        return {};
    }

    static std::string config_directory(std::string_view value) {
        // The historic option names the file.
        constexpr std::string_view file = "/main.cf";
        if (value.ends_with(file)) value.remove_suffix(file.size());
        return std::string(value);
    }

    void warn(std::string text) { options_.warnings.push_back(std::move(text)); }

    const std::vector<std::string>& words_;
    std::size_t next_ = 0;
    SendmailOptions options_;
    bool flush_asked_ = false;
    bool interval_asked_ = false;
};

}  // namespace

Result<SendmailOptions> parse_options(std::string_view name,
                                      const std::vector<std::string>& words) {
    return Parser(name, words).parse();
}

}  // namespace postrider::apps
