// postlog: writes a line to the mail log, for scripts.
#include <iostream>
#include <optional>
#include <string>

#include <unistd.h>

#include "commands.h"
#include "daemon/log_target.h"
#include "program.h"

namespace postrider::apps {
namespace {

std::optional<Severity> severity_named(std::string_view name) {
    if (name == "info") return Severity::Info;
    if (name == "warn" || name == "warning") return Severity::Warning;
    if (name == "error") return Severity::Error;
    if (name == "fatal") return Severity::Fatal;
    if (name == "panic") return Severity::Panic;
    return std::nullopt;
}

}  // namespace

int postlog(int argc, char** argv) {
    Program program("postlog", 1);
    std::string directory;
    std::string tag = "postlog";
    Severity severity = Severity::Info;
    for (int option; (option = ::getopt(argc, argv, "c:ip:t:v")) != -1;) {
        switch (option) {
            case 'c':
                directory = ::optarg;
                break;
            case 'i':
            case 'v':
                break;
            case 't':
                tag = ::optarg;
                break;
            case 'p':
                if (const auto named = severity_named(::optarg)) {
                    severity = *named;
                } else {
                    program.fatal("invalid severity: " + std::string(::optarg) +
                                  " (write info, warn, error, fatal or panic)");
                }
                break;
            default:
                program.fatal("usage: postlog [-c config_dir] [-i] [-p priority] [-t tag] [text]");
        }
    }
    auto target = daemon::open_log_target(program.load_config(directory));
    if (!target) program.fatal(target.error().message);
    StderrTarget terminal;
    BothTargets both(target->get(), ::isatty(STDERR_FILENO) ? &terminal : nullptr);
    const Log log(both, tag);

    std::string text;
    for (int i = ::optind; i < argc; ++i) text.append(i > ::optind ? " " : "").append(argv[i]);
    if (::optind < argc) {
        log.write(severity, text);
    } else {
        while (std::getline(std::cin, text)) log.write(severity, text);
    }
    return 0;
}

}  // namespace postrider::apps
