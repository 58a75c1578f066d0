// Match lists: mynetworks, mydestination, authorized_submit_users, mechanism filters.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "core/log.h"
#include "core/result.h"
#include "table/table.h"

namespace postrider::table {

/// What the items of a list stand for.
enum class MatchKind {
    Text,              ///< The same text, without regard to case.
    Domain,            ///< A domain; `.example.com` stands for everything below it.
    DomainAndParents,  ///< Named in parent_domain_matches_subdomains: `example.com` covers both.
};

/// Patterns read from left to right; the first that matches decides, and `!` makes it a "no".
/// Items are literals, networks, `/file` with more items, or `type:name`, which matches the keys
/// of that table. Files are read and tables opened by open(); matching opens nothing.
class MatchList {
public:
    /// Malformed items, missing files and tables that cannot be opened are warned about in `log`,
    /// and make every match that gets to them an error.
    static MatchList open(std::string_view parameter, std::string_view list, MatchKind,
                          const OpenOptions&, const Log& log);

    MatchList(MatchList&&) noexcept;
    MatchList& operator=(MatchList&&) noexcept;
    ~MatchList();

    bool empty() const;

    /// A name, a domain, a mechanism. An error (a table that fails) has been logged.
    Result<bool> matches(std::string_view text) const;
    /// An IP address without brackets.
    Result<bool> matches_address(std::string_view address) const;
    /// mynetworks, debug_peer_list: each item is compared with the name, then the address.
    Result<bool> matches_client(std::string_view name, std::string_view address) const;

private:
    struct State;
    explicit MatchList(std::unique_ptr<State>);
    std::unique_ptr<State> state_;
};

}  // namespace postrider::table
