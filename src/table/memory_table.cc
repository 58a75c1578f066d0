// Tables with fixed keys that are held in memory: texthash, inline, static, fail, unix.
#include <string>
#include <unordered_map>

#include <grp.h>
#include <pwd.h>

#include "core/ascii.h"
#include "table/file_trust.h"
#include "table/fold.h"
#include "table/list_syntax.h"
#include "table/table_types.h"

namespace postrider::table {
namespace {

/// Accounts that unix:passwd.byname and unix:group.byname read.
constexpr std::size_t kAccountsMax = 1'000'000;

class MemoryTable final : public Table {
public:
    MemoryTable(const Opening& opening, std::vector<std::string> concerns = {})
        : Table(opening.specification(), std::move(concerns)),
          utf8_(opening.options.utf8),
          fold_(opening.options.fold) {}

    Answer find(std::string_view key) const override {
        if (utf8_ && !is_utf8(key)) return std::optional<std::string>();
        const auto found = entries_.find(folded_key(key));
        if (found == entries_.end()) return std::optional<std::string>();
        return std::optional(found->second);
    }

    bool has(std::string_view key) const { return entries_.count(folded_key(key)) > 0; }
    void put(std::string_view key, std::string value) {
        entries_.insert_or_assign(folded_key(key), std::move(value));
    }
    bool empty() const { return entries_.empty(); }

private:
    std::string folded_key(std::string_view key) const {
        return fold_ ? folded(key, utf8_) : std::string(key);
    }

    bool utf8_;
    bool fold_;
    std::unordered_map<std::string, std::string> entries_;
};

class StaticTable final : public Table {
public:
    StaticTable(std::string name, std::string value)
        : Table(std::move(name)), value_(std::move(value)) {}
    Answer find(std::string_view) const override { return std::optional(value_); }

private:
    std::string value_;
};

class FailTable final : public Table {
public:
    using Table::Table;
    explicit FailTable(std::string name) : Table(std::move(name)) {}
    Answer find(std::string_view) const override {
        return Unexpected(ErrorCode::Unavailable, name() + " always fails");
    }
};

/// What a second entry for a key does; the error is for Duplicates::Refuse.
Result<void> put_entry(MemoryTable& table, const Entry& entry, const Opening& opening) {
    if (!table.has(entry.key)) {
        table.put(entry.key, entry.value);
        return {};
    }
    const std::string text =
        at_line(opening.name, entry.number, "duplicate entry: \"" + entry.key + "\"");
    switch (opening.options.duplicates) {
        case Duplicates::Refuse:
            return Unexpected(ErrorCode::Invalid, text);
        case Duplicates::Warn:
            opening.log.warning(text);
            break;
        case Duplicates::Ignore:
            break;
        case Duplicates::Replace:
            table.put(entry.key, entry.value);
            break;
    }
    return {};
}

std::string or_empty(const char* text) {
    return text ? text : "";
}

void put_users(MemoryTable& table) {
    ::setpwent();
    for (std::size_t n = 0; n < kAccountsMax; ++n) {
        const passwd* user = ::getpwent();
        if (!user) break;
        const std::string name = or_empty(user->pw_name);
        table.put(name, name + ":" + or_empty(user->pw_passwd) + ":" +
                            std::to_string(user->pw_uid) + ":" + std::to_string(user->pw_gid) +
                            ":" + or_empty(user->pw_gecos) + ":" + or_empty(user->pw_dir) + ":" +
                            or_empty(user->pw_shell));
    }
    ::endpwent();
}

void put_groups(MemoryTable& table) {
    ::setgrent();
    for (std::size_t n = 0; n < kAccountsMax; ++n) {
        const group* entry = ::getgrent();
        if (!entry) break;
        const std::string name = or_empty(entry->gr_name);
        std::string line =
            name + ":" + or_empty(entry->gr_passwd) + ":" + std::to_string(entry->gr_gid) + ":";
        for (char** member = entry->gr_mem; *member; ++member) {
            if (member != entry->gr_mem) line += ",";
            line += *member;
        }
        table.put(name, line);
    }
    ::endgrent();
}

}  // namespace

OpenedTable open_texthash(const Opening& opening) {
    const auto fd = open_source(opening.name, opening.options);
    if (!fd) {
        return Unexpected(fd.error().code, "open database" + fd.error().message.substr(4));
    }
    auto concerns = check_trust(opening.name, fd->get(), opening.options);
    if (!concerns) return Unexpected(concerns.error());
    auto table = std::make_unique<MemoryTable>(opening, std::move(*concerns));
    EntryFormat format{opening.options.source_syntax, opening.options.utf8,
                       " -- ignoring this line"};
    Entries entries(LogicalLines(opening.name, fd->get(), opening.log), format, opening.log);
    for (;;) {
        const auto entry = entries.next();
        if (!entry) return Unexpected(entry.error());
        if (!*entry) break;
        const auto stored = put_entry(*table, **entry, opening);
        if (!stored) return Unexpected(stored.error());
    }
    return std::unique_ptr<Table>(std::move(table));
}

OpenedTable open_inline(const Opening& opening) {
    const std::string quoted = "\"" + opening.specification() + "\"";
    const std::string need = "; need \"inline:{name=value...}\"";
    const auto fault = [&](const std::string& what) {
        return Unexpected(ErrorCode::Invalid, what + ": " + quoted + need);
    };
    const auto inside = inside_braces(opening.name);
    if (opening.options.utf8 && !is_utf8(opening.name)) return fault("bad UTF-8 syntax");
    if (!inside || opening.name == "{}") return fault("bad syntax");
    auto table = std::make_unique<MemoryTable>(opening);
    for (const std::string& item : split_list(*inside)) {
        const auto text = item.front() == '{' ? inside_braces(item) : Result<std::string>(item);
        if (!text) return fault(text.error().message);
        const auto pair = split_assignment(*text);
        if (!pair) return fault(pair.error().message);
        table->put(pair->first, pair->second);
    }
    if (table->empty()) return fault("empty table");
    return std::unique_ptr<Table>(std::move(table));
}

OpenedTable open_static(const Opening& opening) {
    std::string value = opening.name;
    if (value.starts_with('{')) {
        auto inside = inside_braces(value);
        if (!inside)
            return Unexpected(ErrorCode::Invalid,
                              "bad static:name syntax: " + inside.error().message);
        value = std::move(*inside);
    }
    return std::unique_ptr<Table>(
        std::make_unique<StaticTable>(opening.specification(), std::move(value)));
}

OpenedTable open_fail(const Opening& opening) {
    return std::unique_ptr<Table>(std::make_unique<FailTable>(opening.specification()));
}

OpenedTable open_unix(const Opening& opening) {
    auto table = std::make_unique<MemoryTable>(opening);
    if (opening.name == "passwd.byname") {
        put_users(*table);
    } else if (opening.name == "group.byname") {
        put_groups(*table);
    } else {
        return Unexpected(ErrorCode::Invalid, "unknown table: " + opening.specification() +
                                                  "; need unix:passwd.byname or unix:group.byname");
    }
    if (table->empty())
        return Unexpected(ErrorCode::Unavailable, "cannot read the system's accounts");
    return std::unique_ptr<Table>(std::move(table));
}

}  // namespace postrider::table
