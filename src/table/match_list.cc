#include "table/match_list.h"

#include <optional>
#include <utility>

#include "core/ascii.h"
#include "table/file_trust.h"
#include "table/fold.h"
#include "table/list_syntax.h"
#include "table/network.h"
#include "table/source_text.h"

namespace postrider::table {
namespace {

constexpr int kNestingMax = 10;
constexpr std::size_t kItemsMax = 1'000'000;

constexpr std::string_view kV4Characters = "0123456789.";
constexpr std::string_view kNetworkCharacters = "0123456789.abcdefABCDEF:[]/";

/// Whether an item is meant as a network or as an address that can be written in several ways.
/// Others, domain names above all, are compared as text.
bool looks_like_network(std::string_view text) {
    return text.find_first_of(":/") != std::string_view::npos &&
           text.find_first_not_of(kV4Characters) != std::string_view::npos &&
           text.find_first_not_of(kNetworkCharacters) == std::string_view::npos;
}

bool is_table(std::string_view item) {
    return item.front() != '[' && item.find(':') != std::string_view::npos;
}

struct Item {
    bool positive = true;
    std::string literal;             ///< Folded.
    std::optional<Network> network;  ///< What the literal is, if that.
    std::optional<Error> fault;      ///< The literal was to be a network.
    std::unique_ptr<Table> table;    ///< Instead of a literal.
};

}  // namespace

struct MatchList::State {
    State(std::string_view name, MatchKind item_kind, const OpenOptions& open_options,
          const Log& list_log)
        : parameter(name), kind(item_kind), options(open_options), log(list_log) {}

    void read(std::string_view list, bool positive, int depth) {
        for (const std::string& text : split_list(list)) {
            if (items.size() >= kItemsMax) {
                add_fault(positive, "more than " + std::to_string(kItemsMax) + " items");
                return;
            }
            read_item(text, positive, depth);
        }
    }

    void read_item(std::string_view text, bool positive, int depth) {
        for (; !text.empty() && text.front() == '!'; text.remove_prefix(1)) positive = !positive;
        if (text.empty()) {
            add_fault(positive, "no pattern after '!'");
        } else if (text.front() == '/') {
            read_file(std::string(text), positive, depth + 1);
        } else if (is_table(text)) {
            Item item{positive};
            item.table = open_or_fail(text, options, log);
            items.push_back(std::move(item));
        } else {
            add_literal(text, positive);
        }
    }

    void add_literal(std::string_view text, bool positive) {
        Item item{positive, folded(text, options.utf8)};
        if (looks_like_network(text)) {
            auto network = Network::parse(text);
            if (network) {
                item.network = *network;
            } else {
                item.fault = with_context(parameter, network.error());
                log.warning(item.fault->message);
            }
        }
        items.push_back(std::move(item));
    }

    void add_fault(bool positive, const std::string& text) {
        Item item{positive};
        item.table = open_or_fail("fail:" + parameter, options, log);
        log.warning(parameter + ": " + text);
        items.push_back(std::move(item));
    }

    void read_file(const std::string& path, bool positive, int depth) {
        if (depth > kNestingMax) {
            add_fault(positive,
                      path + ": files are nested deeper than " + std::to_string(kNestingMax));
            return;
        }
        const auto fd = open_source(path, options);
        if (!fd) {
            add_fault(positive, "open file" + fd.error().message.substr(4));
            return;
        }
        LogicalLines lines(path, fd->get(), log);
        for (;;) {
            const auto line = lines.next();
            if (!line) {
                add_fault(positive, line.error().message);
                return;
            }
            if (!*line) return;
            read((*line)->text, positive, depth);
        }
    }

    /// What the client is compared as; absent where it is not asked for.
    struct Subject {
        std::optional<std::string> name;
        std::optional<std::string> address_text;
        std::optional<IpAddress> address;
    };

    Result<bool> decide(const Subject& subject) const {
        for (const Item& item : items) {
            if (subject.name) {
                const auto hit = matches_name(item, *subject.name);
                if (!hit) return hit;
                if (*hit) return item.positive;
            }
            if (subject.address) {
                const auto hit = matches_address(item, subject);
                if (!hit) return hit;
                if (*hit) return item.positive;
            }
        }
        return false;
    }

    Result<bool> look_up(const Table& table, std::string_view key) const {
        const auto answer = table.find(key);
        if (answer) return answer->has_value();
        log.warning(answer.error().message);
        const std::string text = parameter + ": " + table.name() + ": table lookup problem";
        log.warning(text);
        return Unexpected(ErrorCode::Unavailable, text);
    }

    Result<bool> matches_name(const Item& item, const std::string& name) const {
        if (item.table) return matches_name_in(*item.table, name);
        if (name == item.literal) return true;
        if (kind == MatchKind::Text) return false;
        if (name.size() <= item.literal.size() || !name.ends_with(item.literal)) return false;
        if (kind == MatchKind::Domain) return item.literal.starts_with('.');
        return name[name.size() - item.literal.size() - 1] == '.';
    }

    /// Parents of a domain are asked for in tables with fixed keys.
    Result<bool> matches_name_in(const Table& table, std::string_view name) const {
        for (;;) {
            if (name.empty()) return false;
            const auto hit = look_up(table, name);
            if (!hit || *hit || kind == MatchKind::Text || table.is_pattern()) return hit;
            const std::size_t dot = name.find('.', 1);
            if (dot == std::string_view::npos) return false;
            name.remove_prefix(kind == MatchKind::Domain ? dot : dot + 1);
        }
    }

    Result<bool> matches_address(const Item& item, const Subject& subject) const {
        if (item.table) return look_up(*item.table, *subject.address_text);
        if (item.fault) {
            const bool item_is_v6 = item.literal.find(':') != std::string::npos;
            if (item_is_v6 != (subject.address->size == 16)) return false;
            log.warning(item.fault->message);
            return Unexpected(*item.fault);
        }
        if (item.network) return item.network->contains(*subject.address);
        return item.literal == *subject.address_text ||
               item.literal == "[" + *subject.address_text + "]";
    }

    std::string parameter;
    MatchKind kind;
    OpenOptions options;
    Log log;
    std::vector<Item> items;
};

MatchList::MatchList(std::unique_ptr<State> state) : state_(std::move(state)) {}
MatchList::MatchList(MatchList&&) noexcept = default;
MatchList& MatchList::operator=(MatchList&&) noexcept = default;
MatchList::~MatchList() = default;

MatchList MatchList::open(std::string_view parameter, std::string_view list, MatchKind kind,
                          const OpenOptions& options, const Log& log) {
    auto state = std::make_unique<State>(parameter, kind, options, log);
    state->read(list, true, 0);
    return MatchList(std::move(state));
}

bool MatchList::empty() const {
    return state_->items.empty();
}

Result<bool> MatchList::matches(std::string_view text) const {
    State::Subject subject;
    subject.name = folded(text, state_->options.utf8);
    return state_->decide(subject);
}

Result<bool> MatchList::matches_address(std::string_view address) const {
    State::Subject subject;
    subject.address_text = folded(address, false);
    subject.address = IpAddress::parse(address);
    return state_->decide(subject);
}

Result<bool> MatchList::matches_client(std::string_view name, std::string_view address) const {
    State::Subject subject;
    subject.name = folded(name, state_->options.utf8);
    subject.address_text = folded(address, false);
    subject.address = IpAddress::parse(address);
    return state_->decide(subject);
}

}  // namespace postrider::table
