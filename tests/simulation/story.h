// One seed from beginning to end.
#pragma once

#include <cstdint>
#include <cstdio>
#include <map>
#include <string>
#include <vector>

#include "plan.h"

namespace postrider::simulation {

/// What came of it.
struct Outcome {
    std::vector<std::string> violations;
    std::map<std::string, std::uint64_t, std::less<>> faults;  ///< Injected, by kind.
    std::uint64_t transcript_hash = 0;
    std::uint64_t steps = 0;
    std::uint64_t submitted = 0;
    std::uint64_t accepted = 0;
    std::uint64_t stored = 0;
    std::uint64_t reports = 0;
};

/// Plays it, with the working directory for the queue, which is empty. `transcript` may be null.
Outcome play(const Plan&, std::FILE* transcript);

}  // namespace postrider::simulation
