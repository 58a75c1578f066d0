#include "daemon/table_watch.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <string_view>
#include <utility>

#include <sys/inotify.h>
#include <unistd.h>

#include "config/parameters.h"

namespace postrider::daemon {
namespace {

constexpr std::uint32_t kEvents = IN_CLOSE_WRITE | IN_MOVED_TO;

constexpr std::array<std::string_view, 3> kIndexed{"hash", "btree", "lmdb"};
constexpr std::array<std::string_view, 4> kPlain{"texthash", "regexp", "pcre", "cidr"};

template <typename Types>
bool is_one_of(const Types& types, std::string_view type) {
    return std::find(types.begin(), types.end(), type) != types.end();
}

/// Adds every `type:/path` in a value, those inside `unionmap:{...}` and the like included.
void add_tables(std::string_view value, std::vector<TableFile>& files) {
    constexpr std::string_view kSeparators = " \t\r\n,{}()!";
    while (!value.empty()) {
        const std::size_t end = std::min(value.find_first_of(kSeparators), value.size());
        const std::string_view item = value.substr(0, end);
        value.remove_prefix(std::min(end + 1, value.size()));
        const std::size_t colon = item.find(":/");
        if (colon == std::string_view::npos) continue;
        const std::string_view type = item.substr(0, colon);
        const std::string path(item.substr(colon + 1));
        const bool indexed = is_one_of(kIndexed, type);
        if (indexed) files.push_back({path + ".lmdb", std::string(item)});
        if (indexed || is_one_of(kPlain, type)) files.push_back({path, std::string(item)});
    }
}

}  // namespace

std::vector<TableFile> table_files(const config::Config& config) {
    std::vector<TableFile> files{{"/etc/passwd", "unix:passwd.byname"}};
    for (const config::Parameter* parameter : config::parameters()) {
        if (parameter->treatment != config::Treatment::Served) continue;
        add_tables(config.text(parameter->name), files);
    }
    return files;
}

Result<TableWatch> TableWatch::open(const std::vector<TableFile>& files) {
    UniqueFd watch(::inotify_init1(IN_NONBLOCK | IN_CLOEXEC));
    if (!watch) return Unexpected(system_error("watch the tables", errno));
    TableWatch tables(std::move(watch));
    for (const TableFile& file : files) {
        if (static_cast<std::size_t>(&file - files.data()) >= kFilesMax) break;
        const int directory =
            ::inotify_add_watch(tables.watch(), file.path.parent_path().c_str(), kEvents);
        if (directory < 0) continue;
        tables.tables_[directory].try_emplace(file.path.filename().native(), file.table);
    }
    return tables;
}

std::optional<std::string> TableWatch::changed(MonotonicTime now) {
    take_events(now);
    if (!quiet_at_ || *quiet_at_ > now) return std::nullopt;
    quiet_at_.reset();
    return std::exchange(changed_, {});
}

void TableWatch::take_events(MonotonicTime now) {
    alignas(inotify_event) std::array<char, 4096> events;
    for (ssize_t size; (size = ::read(watch_.get(), events.data(), events.size())) > 0;) {
        for (const char* at = events.data(); at < events.data() + size;) {
            inotify_event event;
            std::memcpy(&event, at, sizeof event);
            const char* name = at + sizeof event;
            at = name + event.len;
            const auto directory = tables_.find(event.wd);
            if (directory == tables_.end() || event.len == 0) continue;
            const auto table = directory->second.find(name);
            if (table == directory->second.end()) continue;
            changed_ = table->second;
            quiet_at_ = now + kQuiet;
        }
    }
}

}  // namespace postrider::daemon
