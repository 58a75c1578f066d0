#include "net/hosts_file.h"

#include "core/ascii.h"

namespace postrider::net {
namespace {

constexpr std::size_t kNamesMax = 100'000;

std::string_view take_word(std::string_view& line) {
    line = trimmed(line);
    const std::size_t end = std::min(line.find_first_of(" \t"), line.size());
    const std::string_view word = line.substr(0, end);
    line.remove_prefix(end);
    return word;
}

}  // namespace

HostsTable parse_hosts(std::string_view text) {
    HostsTable table;
    while (!text.empty() && table.size() < kNamesMax) {
        const std::size_t end = std::min(text.find('\n'), text.size());
        std::string_view line = text.substr(0, end);
        text.remove_prefix(std::min(end + 1, text.size()));

        line = line.substr(0, line.find('#'));
        const auto address = parse_ip_literal(take_word(line));
        if (!address) continue;
        for (auto name = take_word(line); !name.empty(); name = take_word(line)) {
            table[ascii_lowercase(name)].push_back(*address);
        }
    }
    return table;
}

}  // namespace postrider::net
