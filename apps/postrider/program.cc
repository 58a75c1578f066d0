#include "program.h"

#include <cstdlib>

#include <pwd.h>
#include <unistd.h>

#include <fmt/format.h>

#include "daemon/log_target.h"

namespace postrider::apps {

Program::Program(std::string name, int fatal_status)
    : name_(std::move(name)), fatal_status_(fatal_status) {}

const config::Config& Program::load_config(std::string_view directory) {
    const char* environment = std::getenv("MAIL_CONFIG");
    auto loaded = config::Config::load(
        config::configuration_directory(directory, environment ? environment : ""));
    if (!loaded) fatal(loaded.error().message);
    config_ = std::make_unique<config::Config>(std::move(loaded).value());
    // An ordinary user may not write maillog_file; standard error is what is left then.
    if (auto target = daemon::open_log_target(*config_)) target_ = std::move(target).value();
    both_ = std::make_unique<BothTargets>(&stderr_, target_.get());
    return *config_;
}

Log Program::log() {
    if (both_) return Log(*both_, name_);
    return Log(stderr_, name_);
}

void Program::fatal(std::string_view text) {
    log().fatal(text);
    std::exit(fatal_status_);
}

std::string caller_name() {
    const passwd* account = ::getpwuid(::getuid());
    return account ? fmt::format("{}({})", account->pw_name, ::getuid())
                   : fmt::format("uid:{}", ::getuid());
}

}  // namespace postrider::apps
