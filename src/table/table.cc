#include "table/table.h"

#include <array>

#include "core/ascii.h"
#include "table/file_trust.h"
#include "table/list_syntax.h"
#include "table/table_types.h"

namespace postrider::table {
namespace {

constexpr int kNestingMax = 10;
constexpr std::size_t kTablesMax = 1000;

struct Type {
    std::string_view name;
    OpenedTable (*open)(const Opening&);
};

constexpr std::array kTypes{
    Type{"hash", open_index},        Type{"btree", open_index},   Type{"lmdb", open_index},
    Type{"texthash", open_texthash}, Type{"inline", open_inline}, Type{"static", open_static},
    Type{"regexp", open_regexp},     Type{"pcre", open_pcre},     Type{"cidr", open_cidr},
    Type{"unionmap", open_union},    Type{"pipemap", open_pipe},  Type{"randmap", open_random},
    Type{"unix", open_unix},         Type{"fail", open_fail},
};

/// Stands in for a table that could not be opened.
class UnavailableTable final : public Table {
public:
    UnavailableTable(std::string name, const std::string& reason)
        : Table(name, {name + " is unavailable. " + reason}) {}

    Answer find(std::string_view) const override {
        return Unexpected(ErrorCode::Unavailable, concerns().front());
    }
};

OpenedTable open_at_depth(std::string_view specification, const OpenOptions& options,
                          const Log& log, int depth) {
    if (depth > kNestingMax)
        return Unexpected(ErrorCode::Limit, "tables inside tables are nested deeper than " +
                                                std::to_string(kNestingMax));
    // What proxymap(8) does for Postfix, opening before privileges are dropped does here.
    constexpr std::string_view kProxy = "proxy:";
    if (specification.starts_with(kProxy)) specification.remove_prefix(kProxy.size());
    const std::size_t colon = specification.find(':');
    if (colon == std::string_view::npos || colon == 0 || colon + 1 == specification.size())
        return Unexpected(ErrorCode::Invalid,
                          "open dictionary: expecting \"type:name\" form instead of \"" +
                              std::string(specification) + "\"");
    const Opening opening{std::string(specification.substr(0, colon)),
                          std::string(specification.substr(colon + 1)), options, log, depth};
    for (const Type& type : kTypes) {
        if (type.name == opening.type) return type.open(opening);
    }
    return Unexpected(ErrorCode::Invalid, "unsupported dictionary type: " + opening.type);
}

}  // namespace

OpenedTable open_inner(std::string_view specification, const Opening& outer) {
    return open_at_depth(specification, outer.options, outer.log, outer.depth + 1);
}

Result<RuleSource> RuleSource::open(const Opening& opening) {
    RuleSource source;
    source.name_ = opening.name;
    if (opening.name.starts_with('{')) {
        const auto rules = inside_braces(opening.name);
        if (!rules) return Unexpected(with_context(opening.type + " map", rules.error()));
        for (const std::string& item : split_list(*rules)) {
            const auto rule = inside_braces(item);
            if (!rule) return Unexpected(with_context(opening.type + " map", rule.error()));
            source.text_ += *rule + "\n";
        }
        return source;
    }
    auto fd = open_source(opening.name, opening.options);
    if (!fd) return Unexpected(fd.error());
    auto concerns = check_trust(opening.name, fd->get(), opening.options);
    if (!concerns) return Unexpected(concerns.error());
    source.concerns_ = std::move(*concerns);
    source.fd_ = std::move(*fd);
    return source;
}

LogicalLines RuleSource::lines(const Log& log) const {
    if (fd_) return LogicalLines(name_, fd_.get(), log);
    return LogicalLines(name_, text_, log);
}

Result<std::unique_ptr<Table>> open_table(std::string_view specification,
                                          const OpenOptions& options, const Log& log) {
    auto table = open_at_depth(trimmed(specification), options, log, 0);
    if (table) {
        for (const std::string& concern : (*table)->concerns()) log.warning(concern);
    }
    return table;
}

std::unique_ptr<Table> open_or_fail(std::string_view specification, const OpenOptions& options,
                                    const Log& log) {
    auto table = open_table(specification, options, log);
    if (table) return std::move(*table);
    auto unavailable =
        std::make_unique<UnavailableTable>(std::string(specification), table.error().message);
    log.warning(unavailable->concerns().front());
    return unavailable;
}

Tables Tables::open(std::string_view parameter, std::string_view list, const OpenOptions& options,
                    const Log& log) {
    Tables result;
    result.parameter_ = parameter;
    result.log_ = log;
    for (const std::string& specification : split_list(list)) {
        if (result.tables_.size() == kTablesMax) {
            result.tables_.back() = std::make_unique<UnavailableTable>(
                specification, "more than " + std::to_string(kTablesMax) + " tables in one list");
            break;
        }
        result.tables_.push_back(open_or_fail(specification, options, log));
    }
    return result;
}

Answer Tables::search(std::string_view key, Scope scope) const {
    if (key.empty()) return std::optional<std::string>();
    for (const auto& table : tables_) {
        if (scope == Scope::Part && table->is_pattern()) continue;
        auto answer = table->find(key);
        if (!answer) {
            log_->warning(answer.error().message);
            log_->warning(table->name() + " lookup error for \"" + std::string(key) + "\"");
            return answer;
        }
        if (!*answer) continue;
        if (!(*answer)->empty()) return answer;
        const std::string text =
            parameter_ + " lookup of " + std::string(key) + " returns an empty string result";
        log_->warning(text);
        log_->warning(parameter_ + " should return NO RESULT in case of NOT FOUND");
        return Unexpected(ErrorCode::Invalid, text);
    }
    return std::optional<std::string>();
}

Answer Tables::find(std::string_view key) const {
    return search(key, Scope::Whole);
}

Answer Tables::find_part(std::string_view key) const {
    return search(key, Scope::Part);
}

std::vector<std::string> Tables::concerns() const {
    std::vector<std::string> all;
    for (const auto& table : tables_)
        all.insert(all.end(), table->concerns().begin(), table->concerns().end());
    return all;
}

}  // namespace postrider::table
