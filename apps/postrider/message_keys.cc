#include "message_keys.h"

#include "core/ascii.h"

namespace postrider::apps {
namespace {

/// `Name:`, perhaps with white space before the colon.
bool starts_header(const std::string& line) {
    std::size_t i = 0;
    while (i < line.size() && is_ascii(line[i]) && !is_ascii_control(line[i]) && line[i] != ' ' &&
           line[i] != ':')
        ++i;
    if (i == 0) return false;
    while (i < line.size() && (line[i] == ' ' || line[i] == '\t')) ++i;
    return i < line.size() && line[i] == ':';
}

bool continues_header(const std::string& line) {
    return !line.empty() && (line.front() == ' ' || line.front() == '\t');
}

}  // namespace

void for_each_message_key(std::istream& message, MessageKeys wanted,
                          const std::function<bool(const std::string& key)>& each) {
    std::string header;
    std::string line;
    bool more = true;
    while ((more = static_cast<bool>(std::getline(message, line)))) {
        if (!header.empty() && continues_header(line)) {
            header += "\n" + line;
            continue;
        }
        if (wanted.headers && !header.empty() && !each(header)) return;
        header.clear();
        if (!starts_header(line)) break;
        header = line;
    }
    if (!more && wanted.headers && !header.empty() && !each(header)) return;
    if (!more || !wanted.body) return;
    // A line that is no header ends the headers as an empty line does, and is body itself.
    if (!line.empty() && !each(line)) return;
    while (std::getline(message, line)) {
        if (!each(line)) return;
    }
}

}  // namespace postrider::apps
