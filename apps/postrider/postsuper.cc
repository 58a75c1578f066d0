// postsuper: deletes, holds, releases, requeues and expires queued mail.
#include <iostream>
#include <string>
#include <vector>

#include <unistd.h>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "commands.h"
#include "mail/queue_id.h"
#include "mail_system.h"
#include "program.h"

namespace postrider::apps {
namespace {

/// What an option does, what is said of each message, and of all of them.
struct Action {
    char option;
    control::Operation operation;
    std::string_view each;
    std::string_view all;
};

constexpr Action kActions[] = {
    {'d', control::Operation::Remove, "removed", "Deleted"},
    {'h', control::Operation::Hold, "placed on hold", "Placed on hold"},
    {'H', control::Operation::Release, "released from hold", "Released from hold"},
    {'r', control::Operation::Requeue, "requeued", "Requeued"},
    {'e', control::Operation::Expire, "expired", "Force-expired"},
};

const Action* action_for(char option) {
    for (const Action& action : kActions) {
        if (action.option == option) return &action;
    }
    return nullptr;
}

/// One use of an option: its ids, or all.
control::Request request_for(Program& program, const Action& action, const std::string& argument) {
    control::Request request;
    request.operation = action.operation;
    request.all = argument == "ALL";
    std::vector<std::string> names;
    if (argument == "-") {
        for (std::string line; std::getline(std::cin, line);) names.push_back(line);
    } else if (!request.all) {
        names.push_back(argument);
    }
    for (const std::string& name : names) {
        if (mail::QueueId::parse(name)) {
            request.ids.push_back(name);
        } else {
            program.log().warning("invalid mail queue id: " + name);
        }
    }
    return request;
}

void carry_out(Program& program, const config::Config& config, const Action& action,
               const std::string& argument) {
    const control::Request request = request_for(program, action, argument);
    const auto changed = ask(
        config, request,
        [&](std::string_view line) {
            const nlohmann::json json = nlohmann::json::parse(line, nullptr, false);
            if (json.is_object() && json.contains("changed")) {
                program.log().info(fmt::format("{}: {}", json.value("changed", ""), action.each));
            }
            return true;
        },
        program.log());
    if (!changed && changed.error().code == ErrorCode::Denied) {
        program.fatal("use of this command is reserved for the superuser");
    }
    if (!changed) program.fatal(changed.error().message);
    program.log().info(
        fmt::format("{}: {} message{}", action.all, *changed, *changed == 1 ? "" : "s"));
}

}  // namespace

int postsuper(int argc, char** argv) {
    Program program("postsuper", 1);
    std::string directory;
    std::vector<std::pair<const Action*, std::string>> steps;
    for (int option; (option = ::getopt(argc, argv, "c:d:e:f:h:H:pr:sSv")) != -1;) {
        switch (option) {
            case 'c':
                directory = ::optarg;
                break;
            case 'f':  // Expire, and let go of what is on hold.
                steps.emplace_back(action_for('e'), ::optarg);
                steps.emplace_back(action_for('H'), ::optarg);
                break;
            case 'p':
            case 's':
            case 'S':
            case 'v':
                break;  // The database has no structure that needs mending by hand.
            case '?':
                program.fatal(
                    "usage: postsuper [-c config_dir] [-d queue_id] [-e queue_id] "
                    "[-f queue_id] [-h queue_id] [-H queue_id] [-r queue_id]");
            default:
                steps.emplace_back(action_for(static_cast<char>(option)), ::optarg);
        }
    }
    const config::Config& config = program.load_config(directory);
    for (const auto& [action, argument] : steps) carry_out(program, config, *action, argument);
    return 0;
}

}  // namespace postrider::apps
