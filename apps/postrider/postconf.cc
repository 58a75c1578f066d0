// postconf: shows and changes main.cf, with Postfix's options and Postfix's output.

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <getopt.h>

#include "commands.h"
#include "config/config.h"
#include "config/listing.h"
#include "config/main_cf.h"
#include "config/main_cf_edit.h"
#include "config/manual.h"
#include "config/settings.h"
#include "core/ascii.h"

namespace postrider::apps {
namespace {

using config::Edit;
using config::Entry;

/// What the command line asks for.
struct Request {
    std::string directory;
    config::Overrides overrides;
    config::ListingForm form;
    std::optional<Edit> edit;
    bool warns = true;
    bool shows_types = false;
    bool shows_locks = false;
    bool shows_sasl = false;
    bool shows_manual = false;
    char refused = '\0';  ///< An option for something that postrider does not have.
    std::vector<std::string> words;
};

constexpr std::string_view kTableTypes =
    "btree\ncidr\nfail\nhash\ninline\nlmdb\npcre\npipemap\nrandmap\nregexp\nstatic\ntexthash\n"
    "unionmap\nunix\n";

void print(std::string_view text) {
    std::fwrite(text.data(), 1, text.size(), stdout);
}

/// Standard output first, so that the two keep their order on a terminal.
void complain(std::string_view prefix, std::string_view text) {
    std::fflush(stdout);
    std::fprintf(stderr, "postconf: %.*s%.*s\n", static_cast<int>(prefix.size()), prefix.data(),
                 static_cast<int>(text.size()), text.data());
}

void warn(std::string_view text) {
    complain("warning: ", text);
}

int fatal(std::string_view text) {
    while (!text.empty()) {
        const auto line = text.substr(0, text.find('\n'));
        complain("fatal: ", line);
        text.remove_prefix(std::min(line.size() + 1, text.size()));
    }
    return EXIT_FAILURE;
}

std::optional<config::ParameterClass> parse_class(std::string_view word) {
    using enum config::ParameterClass;
    constexpr std::pair<std::string_view, config::ParameterClass> kClasses[] = {
        {"builtin", Builtin}, {"service", Service}, {"user", User}, {"all", All}};
    for (const auto& [name, its_class] : kClasses)
        if (equals_ignoring_case(name, word)) return its_class;
    return std::nullopt;
}

/// Takes one option; the error is what to say when it makes no sense.
Result<void> take_option(int option, std::string_view argument, Request& request) {
    switch (option) {
        case 'c':
            request.directory = argument;
            break;
        case 'C': {
            const auto its_class = parse_class(argument);
            if (!its_class)
                return Unexpected(ErrorCode::Invalid,
                                  "unknown -C option value \"" + std::string(argument) +
                                      "\" (write builtin, service, user or all)");
            request.form.of_class = *its_class;
            break;
        }
        case 'o': {
            auto entry = config::parse_name_value(argument);
            if (!entry)
                return Unexpected(with_context("invalid parameter override", entry.error()));
            request.overrides.emplace_back(std::move(entry->name), std::move(entry->value));
            break;
        }
        case 'd':
            request.form.defaults = true;
            break;
        case 'n':
            request.form.only_set = true;
            break;
        case 'h':
            request.form.hides_names = true;
            break;
        case 'H':
            request.form.hides_values = true;
            break;
        case 'x':
            request.form.expanded = true;
            break;
        case 'f':
            request.form.folded = true;
            break;
        case 'j':
            request.form.json = true;
            break;
        case 'e':
            request.edit = Edit::Set;
            break;
        case 'X':
            request.edit = Edit::Remove;
            break;
        case '#':
            request.edit = Edit::CommentOut;
            break;
        case 'm':
            request.shows_types = true;
            break;
        case 'l':
            request.shows_locks = true;
            break;
        case 'A':
            request.shows_sasl = true;
            break;
        case 'q':
            request.warns = false;
            break;
        case 'p':
        case 'v':
            break;
        case 1:
            request.shows_manual = true;
            break;
        default:
            request.refused = static_cast<char>(option);
    }
    return {};
}

Result<Request> parse_command_line(int argc, char** argv) {
    static const option kLongOptions[] = {{"manual", no_argument, nullptr, 1}, {}};
    Request request;
    optind = 0;
    opterr = 0;
    for (;;) {
        // The `+` keeps getopt from taking options out of the names behind them.
        const int option =
            ::getopt_long(argc, argv, "+aAbc:C:deEfFhHjlmMno:pPqtT:vxX#", kLongOptions, nullptr);
        if (option == -1) break;
        if (option == '?')
            return Unexpected(ErrorCode::Invalid,
                              "usage: postconf [-c config_dir] [-C class] [-dfhHjnpqx] "
                              "[-o name=value] [name...] | [-e] name=value... | -X name... | "
                              "-# name... | -m | -l | -A | --manual");
        if (auto taken = take_option(option, optarg ? optarg : "", request); !taken)
            return Unexpected(std::move(taken).error());
    }
    request.words.assign(argv + optind, argv + argc);
    if (!request.edit && !request.words.empty() &&
        request.words.front().find('=') != std::string::npos)
        request.edit = Edit::Set;
    if (request.form.only_set && request.form.defaults)
        return Unexpected(ErrorCode::Invalid, "specify one of -d and -n");
    if (request.form.hides_names && request.form.hides_values)
        return Unexpected(ErrorCode::Invalid, "specify one of -h and -H");
    return request;
}

/// One word of an edit as an entry: `name=value` for Edit::Set, else a name.
Result<Entry> parse_edit(std::string_view word, Edit edit) {
    const auto invalid = [](std::string text) {
        return Unexpected(ErrorCode::Invalid, std::move(text));
    };
    if (word.find('\n') != word.npos) return invalid("-e, -X, or -# accepts no multi-line input");
    word = trimmed(word);
    if (word.starts_with('#')) return invalid("-e, -X, or -# accepts no comment input");
    if (edit == Edit::Set) return config::parse_name_value(word);
    if (word.empty()) return invalid("-X or -# requires non-blank parameter names");
    if (word.find('=') != word.npos)
        return invalid("-X or -# requires parameter names without value");
    Entry entry;
    entry.name = word;
    return entry;
}

int edit(const Request& request, const std::filesystem::path& file) {
    if (request.words.empty())
        return fatal(*request.edit == Edit::Set ? "-e requires name=value argument"
                                                : "-X or -# requires parameter names");
    std::vector<Entry> entries;
    for (const auto& word : request.words) {
        auto entry = parse_edit(word, *request.edit);
        if (!entry) return fatal(entry.error().message);
        const auto earlier = std::find_if(entries.begin(), entries.end(), [&](const Entry& other) {
            return other.name == entry->name;
        });
        if (earlier != entries.end()) {
            if (earlier->value != entry->value)
                warn("ignoring earlier request: '" + earlier->name + " = " + earlier->value + "'");
            entries.erase(earlier);
        }
        entries.push_back(std::move(*entry));
    }
    const auto warnings = config::edit_main_cf_file(file, *request.edit, entries);
    if (!warnings) return fatal(warnings.error().message);
    for (const auto& warning : *warnings) warn(warning);
    return EXIT_SUCCESS;
}

int list(const Request& request, const std::filesystem::path& directory) {
    const auto file = directory / "main.cf";
    auto main_cf =
        request.form.defaults ? config::parse_main_cf("", file) : config::read_main_cf(file);
    if (!main_cf) return fatal(main_cf.error().message);
    const config::Settings settings(std::move(*main_cf), directory,
                                    request.form.defaults ? config::Overrides{} : request.overrides,
                                    config::this_host());
    const auto listing = config::list_parameters(settings, request.words, request.form);
    if (!listing) return fatal(listing.error().message);
    print(listing->text);
    for (const auto& warning : listing->warnings) warn(warning);
    if (request.warns && !request.form.defaults)
        for (const auto& warning : config::listing_warnings(settings)) warn(warning);
    return EXIT_SUCCESS;
}

/// What to do instead of what the option is for.
std::string refusal(char option) {
    switch (option) {
        case 'M':
        case 'P':
        case 'F':
            return "postrider has no master.cf: where it listens is smtpd_listen and "
                   "inet_interfaces in main.cf, and its services are started by postriderd alone";
        case 'b':
        case 't':
            return "postrider has no bounce templates";
        case 'a':
            return "postrider does not let clients log in";
        case 'T':
            return "postrider has no -T; \"postrider status\" tells the version of its TLS library";
        default:
            return "postrider has no option -" + std::string(1, option);
    }
}

}  // namespace

int postconf(int argc, char** argv) {
    const auto request = parse_command_line(argc, argv);
    if (!request) return fatal(request.error().message);
    if (request->refused != '\0') return fatal(refusal(request->refused));
    if (request->shows_manual) {
        print(config::manual_page());
    } else if (request->shows_types) {
        print(kTableTypes);
    } else if (request->shows_locks) {
        print("flock\n");
    } else if (request->shows_sasl) {
        print("gsasl\n");
    } else {
        const char* const environment = std::getenv("MAIL_CONFIG");
        const auto directory = config::configuration_directory(
            request->directory, environment == nullptr ? "" : environment);
        return request->edit ? edit(*request, directory / "main.cf") : list(*request, directory);
    }
    return EXIT_SUCCESS;
}

}  // namespace postrider::apps
