// The kinds of table, each behind a function that opens one. For open_table() only.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "core/log.h"
#include "core/result.h"
#include "core/unique_fd.h"
#include "table/source_text.h"
#include "table/table.h"

namespace postrider::table {

/// What a table is opened from.
struct Opening {
    std::string type;  ///< `regexp`
    std::string name;  ///< `/etc/postfix/header_checks` or `{...}`
    const OpenOptions& options;
    const Log& log;
    int depth = 0;  ///< How many tables enclose it.

    std::string specification() const { return type + ":" + name; }
};

using OpenedTable = Result<std::unique_ptr<Table>>;

OpenedTable open_index(const Opening&);     ///< hash, btree, lmdb
OpenedTable open_texthash(const Opening&);  ///< texthash
OpenedTable open_inline(const Opening&);
OpenedTable open_static(const Opening&);
OpenedTable open_fail(const Opening&);
OpenedTable open_unix(const Opening&);
OpenedTable open_regexp(const Opening&);
OpenedTable open_pcre(const Opening&);
OpenedTable open_cidr(const Opening&);
OpenedTable open_union(const Opening&);
OpenedTable open_pipe(const Opening&);
OpenedTable open_random(const Opening&);

/// A table inside another one.
OpenedTable open_inner(std::string_view specification, const Opening& outer);

/// The rules of a pattern table: its file, or the `{...}` items of the inline form. With a file,
/// `concerns` gets what is to be said about its permissions.
class RuleSource {
public:
    static Result<RuleSource> open(const Opening&);
    LogicalLines lines(const Log&) const;
    const std::vector<std::string>& concerns() const { return concerns_; }

private:
    std::string name_;
    std::string text_;
    UniqueFd fd_;
    std::vector<std::string> concerns_;
};

}  // namespace postrider::table
