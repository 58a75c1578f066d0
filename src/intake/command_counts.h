// How many commands of each kind a session has had, for its last log line.
#pragma once

#include <array>
#include <string>

#include "smtp/command_line.h"

namespace postrider::intake {

class CommandCounts {
public:
    /// A command has come.
    void add(smtp::Verb verb) { ++of(verb).total; }
    /// It was answered with yes.
    void add_good(smtp::Verb verb) { ++of(verb).good; }

    /// ` ehlo=1 rcpt=1/2 quit=1 commands=3/4`: those answered with yes, of all where that is less.
    std::string text() const;

private:
    struct Count {
        unsigned good = 0;
        unsigned total = 0;
    };
    Count& of(smtp::Verb verb) { return counts_[static_cast<std::size_t>(verb)]; }

    std::array<Count, smtp::kVerbCount> counts_{};
};

}  // namespace postrider::intake
