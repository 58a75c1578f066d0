// Tables made of tables, and the one that takes turns: unionmap, pipemap, randmap.
#include "table/list_syntax.h"
#include "table/table_types.h"

namespace postrider::table {
namespace {

using Members = std::vector<std::unique_ptr<Table>>;

/// Results are joined, or handed on; neither may grow without end.
constexpr std::size_t kResultSizeMax = 1024 * 1024;

std::vector<std::string> concerns_of(const Members& members) {
    std::vector<std::string> all;
    for (const auto& member : members)
        all.insert(all.end(), member->concerns().begin(), member->concerns().end());
    return all;
}

class CombinedTable : public Table {
public:
    CombinedTable(const Opening& opening, Members members)
        : Table(opening.specification(), concerns_of(members)), members_(std::move(members)) {}
    bool is_pattern() const override { return members_.front()->is_pattern(); }

protected:
    Members members_;
};

class UnionTable final : public CombinedTable {
public:
    using CombinedTable::CombinedTable;

    Answer find(std::string_view key) const override {
        std::string all;
        for (const auto& member : members_) {
            const auto answer = member->find(key);
            if (!answer) return answer;
            if (!*answer) continue;
            if (!all.empty()) all.push_back(',');
            all += **answer;
            if (all.size() > kResultSizeMax)
                return Unexpected(ErrorCode::Limit, name() + ": the result is too long");
        }
        if (all.empty()) return std::optional<std::string>();
        return std::optional(std::move(all));
    }
};

class PipeTable final : public CombinedTable {
public:
    using CombinedTable::CombinedTable;

    Answer find(std::string_view key) const override {
        std::string text(key);
        for (const auto& member : members_) {
            auto answer = member->find(text);
            if (!answer || !*answer) return answer;
            text = std::move(**answer);
        }
        return std::optional(std::move(text));
    }
};

/// Gives each of its values in turn: as even as chance.
class TurnTable final : public Table {
public:
    TurnTable(std::string name, std::vector<std::string> values)
        : Table(std::move(name)), values_(std::move(values)) {}
    bool is_pattern() const override { return true; }

    Answer find(std::string_view) const override {
        return std::optional(values_[turn_++ % values_.size()]);
    }

private:
    std::vector<std::string> values_;
    mutable std::size_t turn_ = 0;
};

/// The items of `{...}`; at least one.
Result<std::vector<std::string>> items_of(const Opening& opening, const std::string& need) {
    const auto inside = inside_braces(opening.name);
    auto items = inside ? split_list(*inside) : std::vector<std::string>();
    if (items.empty())
        return Unexpected(ErrorCode::Invalid, "bad syntax: \"" + opening.specification() +
                                                  "\"; need \"" + opening.type + ":{" + need +
                                                  "...}\"");
    return items;
}

Result<Members> open_members(const Opening& opening) {
    const auto items = items_of(opening, "type:name");
    if (!items) return Unexpected(items.error());
    Members members;
    for (const std::string& item : *items) {
        auto member = open_inner(item, opening);
        if (!member) return Unexpected(member.error());
        members.push_back(std::move(*member));
    }
    return members;
}

}  // namespace

OpenedTable open_union(const Opening& opening) {
    auto members = open_members(opening);
    if (!members) return Unexpected(members.error());
    return std::unique_ptr<Table>(std::make_unique<UnionTable>(opening, std::move(*members)));
}

OpenedTable open_pipe(const Opening& opening) {
    auto members = open_members(opening);
    if (!members) return Unexpected(members.error());
    return std::unique_ptr<Table>(std::make_unique<PipeTable>(opening, std::move(*members)));
}

OpenedTable open_random(const Opening& opening) {
    auto items = items_of(opening, "value");
    if (!items) return Unexpected(items.error());
    return std::unique_ptr<Table>(
        std::make_unique<TurnTable>(opening.specification(), std::move(*items)));
}

}  // namespace postrider::table
