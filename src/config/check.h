// What is wrong with a configuration, and what its operator should know.
#pragma once

#include <string>
#include <vector>

#include "config/settings.h"

namespace postrider::config {

struct Findings {
    std::vector<std::string> errors;    ///< Reasons not to start, each with file and line.
    std::vector<std::string> warnings;  ///< Things to say at every start.
    std::vector<std::string> dangers;   ///< Those of them that endanger mail or passwords.
};

/// Whether each setting is one that we serve, and what it means that some are not.
void check_treatment(const Settings&, Findings&);

/// Names that nobody knows and nothing refers to: typing mistakes, as a rule.
void check_names(const Settings&, Findings&);

/// Values that their type allows and their meaning does not; settings that contradict each other;
/// settings that endanger mail or passwords.
void check_meaning(const Settings&, Findings&);

}  // namespace postrider::config
