// postmap, postalias, newaliases: build, change and query lookup tables.
#include <cstdlib>
#include <iostream>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <unistd.h>

#include "commands.h"
#include "config/config.h"
#include "core/ascii.h"
#include "core/base64.h"
#include "core/log.h"
#include "core/log_targets.h"
#include "message_keys.h"
#include "table/index_table.h"
#include "table/index_writer.h"
#include "table/table.h"

namespace postrider::apps {
namespace {

/// The command stops here; what is to be said has been said.
constexpr int kFound = 0;
constexpr int kFailed = 1;

enum class Action { Build, Extend, Delete, Query, List };

struct Command {
    std::string program;
    Action action = Action::Build;
    std::string key;  ///< Of -d and -q; `-` for one on each line of the standard input.
    bool json = false;
    bool headers = false;
    bool body = false;
    bool mime = false;
    bool force_utf8 = false;
    std::string directory;  ///< Of -c.
    table::IndexOptions index;
    std::string default_type = "lmdb";
    std::vector<std::string> tables;

    bool is_alias() const { return index.source_syntax == table::SourceSyntax::Aliases; }
};

struct Specification {
    std::string type;
    std::string name;
    std::string text() const { return type + ":" + name; }
    bool is_index() const { return type == "hash" || type == "btree" || type == "lmdb"; }
};

Specification specification(const Command& command, const std::string& argument) {
    const std::size_t colon = argument.find(':');
    if (colon == std::string::npos) return {command.default_type, argument};
    return {argument.substr(0, colon), argument.substr(colon + 1)};
}

int fatal(const Log& log, std::string_view text) {
    log.fatal(text);
    return kFailed;
}

/// As Postfix quotes: control characters by their number, broken UTF-8 as it is.
std::string json_quoted(std::string_view text) {
    static constexpr char kHex[] = "0123456789ABCDEF";
    std::string result = "\"";
    for (const char c : text) {
        const auto byte = static_cast<unsigned char>(c);
        if (c == '\n') {
            result += "\\n";
        } else if (c == '\r') {
            result += "\\r";
        } else if (c == '\t') {
            result += "\\t";
        } else if (c == '\b') {
            result += "\\b";
        } else if (c == '\f') {
            result += "\\f";
        } else if (is_ascii_control(c)) {
            result += {'\\', 'u', '0', '0', kHex[byte >> 4], kHex[byte & 15]};
        } else {
            if (c == '"' || c == '\\') result.push_back('\\');
            result.push_back(c);
        }
    }
    return result + "\"";
}

void print_pair(const Command& command, std::string_view key, std::string_view value) {
    if (command.json) {
        std::cout << '{' << json_quoted(key) << ": " << json_quoted(value) << "}\n";
    } else {
        std::cout << key << (command.is_alias() ? ":\t" : "\t") << value << '\n';
    }
}

void warn_if_empty(const Log& log, const std::string& table, std::string_view key,
                   std::string_view value) {
    if (!value.empty()) return;
    log.warning("table " + table + ": key " + std::string(key) +
                ": empty string result is not allowed");
    log.warning("table " + table + " should return NO RESULT in case of NOT FOUND");
}

/// Asks tables that are opened when they are first asked.
class Queries {
public:
    Queries(const Command& command, const Log& log)
        : command_(command), log_(log), tables_(command.tables.size()) {}

    /// Nothing when no table has the key. The error has been reported.
    Result<std::optional<std::string>> find(const std::string& key) {
        for (std::size_t i = 0; i < tables_.size(); ++i) {
            if (!tables_[i]) {
                auto opened = open(command_.tables[i]);
                if (!opened) return Unexpected(opened.error());
                tables_[i] = std::move(*opened);
            }
            auto answer = ask(*tables_[i], key);
            if (!answer || *answer) return answer;
        }
        return std::optional<std::string>();
    }

private:
    Result<std::unique_ptr<table::Table>> open(const std::string& argument) {
        table::OpenOptions options;
        options.utf8 = command_.index.utf8;
        options.fold = command_.index.fold;
        options.source_syntax = command_.index.source_syntax;
        options.duplicates = command_.index.duplicates;
        options.reindexing = table::Reindexing::Forbidden;  // A question changes nothing.
        auto opened = table::open_table(specification(command_, argument).text(), options, log_);
        if (!opened) log_.fatal(opened.error().message);
        return opened;
    }

    Result<std::optional<std::string>> ask(const table::Table& table, const std::string& key) {
        auto answer = table.find(key);
        if (!answer) {
            log_.warning(answer.error().message);
            log_.fatal("table " + table.name() + ": query error");
            return answer;
        }
        if (!*answer) return answer;
        warn_if_empty(log_, table.name(), key, **answer);
        if (!command_.index.values_are_files) return answer;
        auto content = decode_base64(**answer);
        if (content) return std::optional(std::move(*content));
        log_.fatal("table " + table.name() + ": key " + key + ": malformed BASE64 value");
        return Unexpected(ErrorCode::Invalid, "malformed BASE64 value");
    }

    const Command& command_;
    const Log& log_;
    std::vector<std::unique_ptr<table::Table>> tables_;
};

int query_one(const Command& command, const Log& log) {
    const auto answer = Queries(command, log).find(command.key);
    if (!answer || !*answer) return kFailed;
    if (command.json) {
        print_pair(command, command.key, **answer);
    } else {
        std::cout << **answer << '\n';
    }
    return kFound;
}

/// Keys from the standard input: lines, or the headers and body lines of a message.
int query_many(const Command& command, const Log& log) {
    Queries queries(command, log);
    bool found = false;
    bool failed = false;
    const auto ask = [&](const std::string& key) {
        const auto answer = queries.find(key);
        failed = !answer;
        if (failed) return false;
        if (*answer) {
            print_pair(command, key, **answer);
            found = true;
        }
        return true;
    };
    if (command.headers || command.body) {
        for_each_message_key(std::cin, {command.headers, command.body}, ask);
    } else {
        for (std::string line; std::getline(std::cin, line);) {
            if (!ask(line)) break;
        }
    }
    return !failed && found ? kFound : kFailed;
}

int list(const Command& command, const Log& log) {
    const Specification table = specification(command, command.tables.front());
    if (!table.is_index())
        return fatal(log, "table " + table.text() + ": sequence operation is not supported");
    const auto listed =
        table::for_each_entry(table.name, [&](std::string_view key, std::string_view value) {
            warn_if_empty(log, table.text(), key, value);
            if (!command.index.values_are_files) return print_pair(command, key, value);
            const auto content = decode_base64(value);
            if (content) return print_pair(command, key, *content);
            log.warning("table " + table.text() + ": key " + std::string(key) +
                        ": malformed BASE64 value");
        });
    return listed ? kFound : fatal(log, listed.error().message);
}

std::vector<std::string> keys_to_delete(const Command& command) {
    if (command.key != "-") return {command.key};
    std::vector<std::string> keys;
    for (std::string line; std::getline(std::cin, line);) keys.push_back(line);
    return keys;
}

int remove(const Command& command, const Log& log) {
    const auto keys = keys_to_delete(command);
    bool found = false;
    for (const std::string& argument : command.tables) {
        const Specification table = specification(command, argument);
        if (!table.is_index())
            return fatal(log, table.text() + " map requires O_RDONLY access mode");
        auto writer = table::IndexWriter::update(table.name, command.index, log);
        if (!writer) return fatal(log, writer.error().message);
        bool found_here = false;
        for (const std::string& key : keys) {
            const auto removed = writer->remove(key);
            if (!removed)
                return fatal(log, "table " + table.text() + ": " + removed.error().message);
            found_here = *removed || found_here;
        }
        if (!found_here) continue;
        found = true;
        if (const auto committed = writer->commit(); !committed)
            return fatal(log, committed.error().message);
    }
    return found ? kFound : kFailed;
}

int write(const Command& command, const Log& log) {
    for (const std::string& argument : command.tables) {
        const Specification table = specification(command, argument);
        if (table.type == "proxy") return fatal(log, "can't create maps via the proxy service");
        if (!table.is_index())
            return fatal(log, "unsupported dictionary type: " + table.type +
                                  " does not support bulk-mode creation.");
        const auto written =
            command.action == Action::Extend
                ? table::extend_index(table.name, STDIN_FILENO, "stdin", command.index, log)
                : table::build_index(table.name, command.index, log);
        if (!written) return fatal(log, written.error().message);
    }
    return kFound;
}

int run(const Command& command, const Log& log) {
    switch (command.action) {
        case Action::Query:
            return command.key == "-" ? query_many(command, log) : query_one(command, log);
        case Action::List:
            return list(command, log);
        case Action::Delete:
            return remove(command, log);
        case Action::Build:
        case Action::Extend:
            return write(command, log);
    }
    return kFailed;
}

/// Changes `command` by one option; false if there is no such option.
bool take_option(Command& command, int option) {
    table::IndexOptions& index = command.index;
    switch (option) {
        case 'b':
            return command.body = true;
        case 'c':
            command.directory = optarg;
            return true;
        case 'f':
            index.fold = false;
            return true;
        case 'F':
            return index.values_are_files = true;
        case 'h':
            return command.headers = true;
        case 'j':
            return command.json = true;
        case 'm':
            return command.mime = true;
        case 'n':
            index.trailing_nul = false;
            return true;
        case 'N':
            return index.trailing_nul = true;
        case 'o':
            index.source_owner = false;
            return true;
        case 'p':
            index.source_mode = false;
            return true;
        case 'r':
            index.duplicates = table::Duplicates::Replace;
            return true;
        case 'u':
            index.utf8 = false;
            return true;
        case 'U':
            return command.force_utf8 = true;
        case 'v':
            return true;
        case 'w':
            index.duplicates = table::Duplicates::Ignore;
            return true;
        default:
            return false;
    }
}

std::optional<Action> action_of(int option) {
    switch (option) {
        case 'd':
            return Action::Delete;
        case 'i':
            return Action::Extend;
        case 'q':
            return Action::Query;
        case 's':
            return Action::List;
        default:
            return std::nullopt;
    }
}

/// What the options, taken together, may not be.
std::optional<std::string> contradiction(const Command& command) {
    const bool asks = command.action == Action::Query || command.action == Action::List;
    if (command.json && !asks) return "option -j requires -q or -s";
    const bool of_message = command.headers || command.body || command.mime;
    if (of_message && (command.action != Action::Query || command.key != "-"))
        return "specify -b -h or -m only with \"-q -\"";
    return std::nullopt;
}

/// The default type and smtputf8_enable. A configuration that cannot be read stops no table from
/// being built: that may be what mends it.
std::optional<config::Config> configure(Command& command, const Log& log) {
    const char* environment = std::getenv("MAIL_CONFIG");
    const auto directory =
        config::configuration_directory(command.directory, environment ? environment : "");
    auto loaded = config::Config::load(directory);
    if (!loaded) {
        log.warning(loaded.error().message);
        return std::nullopt;
    }
    command.default_type = loaded->text("default_database_type");
    command.index.utf8 = command.index.utf8 && loaded->boolean("smtputf8_enable");
    return std::move(*loaded);
}

int main_of(Command command, std::string_view options, std::string_view synopsis, int argc,
            char** argv) {
    StderrTarget target;
    const Log log(target, command.program);
    const std::string usage = "usage: " + command.program + " " + std::string(synopsis);
    bool has_action = false;
    optind = 0;  // glibc: forget the last command line altogether.
    opterr = 0;
    const std::string option_letters(options);
    for (int option = 0; (option = ::getopt(argc, argv, option_letters.c_str())) != -1;) {
        if (const auto action = action_of(option)) {
            if (has_action) return fatal(log, "specify only one of -d -i -q or -s");
            has_action = true;
            command.action = *action;
            command.key = optarg ? optarg : "";
        } else if (!take_option(command, option)) {
            return fatal(log, usage);
        }
    }
    command.tables.assign(argv + optind, argv + argc);
    if (const auto text = contradiction(command)) return fatal(log, *text);
    configure(command, log);
    if (command.mime && !command.headers && !command.body)
        log.warning("ignoring -m option without -b or -h");
    if (command.mime && (command.headers || command.body))
        log.warning("-m: parts of the message are not looked into, all after its header is body");
    if ((command.headers || command.body) && !command.force_utf8) command.index.utf8 = false;
    if (command.tables.empty()) return command.action == Action::List ? kFailed : fatal(log, usage);
    const int status = run(command, log);
    std::cout.flush();
    return std::cout ? status : fatal(log, "write error on standard output");
}

std::string base_name(std::string_view path) {
    return std::string(path.substr(path.rfind('/') + 1));
}

}  // namespace

int postmap(int argc, char** argv) {
    Command command;
    command.program = base_name(argv[0]);
    return main_of(std::move(command), "bc:d:fFhijmnNopq:rsuUvw",
                   "[-bfFhijmnNoprsuUvw] [-c config_dir] [-d key] [-q key] [map_type:]file...",
                   argc, argv);
}

int postalias(int argc, char** argv) {
    Command command;
    command.program = base_name(argv[0]);
    command.index.source_syntax = table::SourceSyntax::Aliases;
    return main_of(std::move(command), "Nc:d:fijnopq:rsuvw",
                   "[-fijnNoprsuvw] [-c config_dir] [-d key] [-q key] [map_type:]file...", argc,
                   argv);
}

int newaliases(int argc, char** argv) {
    StderrTarget target;
    const Log log(target, base_name(argv[0]));
    Command command;
    command.program = "postalias";
    command.index.source_syntax = table::SourceSyntax::Aliases;
    optind = 0;  // glibc: forget the last command line altogether.
    opterr = 0;
    // What scripts pass along with it for sendmail's sake says nothing here.
    for (int option = 0; (option = ::getopt(argc, argv, "C:c:b:o:v")) != -1;) {
        if (option == 'C' || option == 'c') command.directory = optarg;
    }
    const auto loaded = configure(command, log);
    if (!loaded) return kFailed;
    command.tables = loaded->list("alias_database");
    return run(command, log);
}

}  // namespace postrider::apps
