#include "intake/command_counts.h"

#include <string_view>

#include "core/ascii.h"
#include "core/text.h"

namespace postrider::intake {

std::string CommandCounts::text() const {
    std::string line;
    Count all;
    const auto add = [&](std::string_view name, const Count& count) {
        append(line, {" ", name, "=", std::to_string(count.good)});
        if (count.good != count.total) append(line, {"/", std::to_string(count.total)});
    };
    for (std::size_t i = 0; i < counts_.size(); ++i) {
        const Count& count = counts_[i];
        if (count.total == 0) continue;
        add(ascii_lowercase(smtp::verb_name(static_cast<smtp::Verb>(i))), count);
        all.good += count.good;
        all.total += count.total;
    }
    if (all.total == 0) return " commands=0/0";
    add("commands", all);
    return line;
}

}  // namespace postrider::intake
