// The administrator's commands: one program under many names, as its links call it.
#include <cstdio>
#include <cstring>
#include <string_view>

#include <unistd.h>

#include "commands.h"

namespace {

struct Command {
    std::string_view name;
    int (*run)(int argc, char** argv);
};

constexpr Command kCommands[] = {
    {"postconf", postrider::apps::postconf},   {"postmap", postrider::apps::postmap},
    {"postalias", postrider::apps::postalias}, {"newaliases", postrider::apps::newaliases},
    {"postqueue", postrider::apps::postqueue}, {"postsuper", postrider::apps::postsuper},
    {"postcat", postrider::apps::postcat},     {"postlog", postrider::apps::postlog},
};

const Command* find_command(std::string_view name) {
    for (const Command& command : kCommands) {
        if (command.name == name) return &command;
    }
    return nullptr;
}

}  // namespace

int main(int argc, char** argv) {
    if (argc < 1) return 1;
    ::opterr = 0;  // Each command says in its own words what it expects.
    const char* slash = std::strrchr(argv[0], '/');
    if (const Command* command = find_command(slash ? slash + 1 : argv[0])) {
        return command->run(argc, argv);
    }
    // `postrider postqueue -p` works as `postqueue -p` does, where there are no links.
    if (argc > 1) {
        if (const Command* command = find_command(argv[1])) return command->run(argc - 1, argv + 1);
    }
    return postrider::apps::operate(argc, argv);
}
