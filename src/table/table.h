// Lookup tables: one question, one answer, many kinds of source.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <sys/types.h>

#include "core/log.h"
#include "core/result.h"
#include "core/unique_fd.h"

namespace postrider::table {

/// Found, absent, or an error that means "ask again later": callers defer, they never take a
/// failed lookup for "no entry".
using Answer = Result<std::optional<std::string>>;

/// One table, opened: `hash:/etc/postfix/smtp_auth`, `regexp:...`, `inline:{...}`.
///
/// Everything is in memory or mapped when it has been opened: find() opens no file and never
/// waits, so it may run on the network thread of a process that can open nothing. Not for several
/// threads at once.
class Table {
public:
    virtual ~Table() = default;
    Table(const Table&) = delete;
    Table& operator=(const Table&) = delete;

    /// Looks `key` up. Fixed-key tables fold its case as they folded their keys. An error's
    /// message is what the log shall say (`pcre map F, line 3: backtracking limit exceeded`).
    virtual Answer find(std::string_view key) const = 0;

    /// Pattern tables (regexp, pcre, cidr, ...) are asked for whole addresses only, never for
    /// parts.
    virtual bool is_pattern() const { return false; }

    /// `type:name`, as in the configuration and in log lines.
    const std::string& name() const { return name_; }

    /// What the operator should mend about its files, each a sentence with the command that does;
    /// logged when the table was opened, and kept so that `status` can show it, too.
    const std::vector<std::string>& concerns() const { return concerns_; }

protected:
    explicit Table(std::string name, std::vector<std::string> concerns = {})
        : name_(std::move(name)), concerns_(std::move(concerns)) {}

private:
    std::string name_;
    std::vector<std::string> concerns_;
};

/// Whether `$1` may bring text of the key into a result; not where results are trusted
/// (alias_maps, credentials).
enum class Substitution { Allowed, Forbidden };

/// How the text beside an index is written: `key value`, or aliases(5) `name: value, value`.
enum class SourceSyntax { Map, Aliases };

/// What a key that stands twice in a text source means. An index keeps the first one in any case
/// but Replace; `Refuse` is for texthash: alone and makes opening fail.
enum class Duplicates { Refuse, Warn, Ignore, Replace };

/// Whether opening `hash:F` may write F.lmdb when it is missing or older than F.
enum class Reindexing { Allowed, Forbidden };

/// Opens a file for reading on this process's behalf.
using Opener = std::function<Result<UniqueFd>(const std::string& path)>;

struct OpenOptions {
    Substitution substitution = Substitution::Allowed;
    /// smtputf8_enable: keys and values must be UTF-8, and case is folded beyond ASCII. To be
    /// false for header_checks and body_checks, which see whatever bytes a message has.
    bool utf8 = true;
    SourceSyntax source_syntax = SourceSyntax::Map;  ///< Aliases for alias_maps.
    /// The table holds passwords. A file that others than root, us and `trusted_owner` own or can
    /// write, a symbolic link, or a directory where others can replace it, is refused; a file that
    /// others can read is a concern.
    bool secret = false;
    std::optional<uid_t> trusted_owner;  ///< mail_owner, when that is not who we are.
    Duplicates duplicates = Duplicates::Refuse;
    Reindexing reindexing = Reindexing::Allowed;
    bool fold = true;  ///< `postmap -f` turns it off.
    /// For sources that this account may not read; of hash:, btree: and lmdb: the text is used then
    /// instead of the index. None: they cannot be opened.
    Opener opener;
};

/// Opens one table. Malformed rules in its source are warned about in `log` and skipped, as Postfix
/// does; a missing or unreadable source is an Error, worded as Postfix words it. The table keeps
/// a copy of `log`; the sink behind it must outlive the table.
Result<std::unique_ptr<Table>> open_table(std::string_view specification, const OpenOptions&,
                                          const Log& log);

/// As open_table(), but what cannot be opened becomes a table whose every lookup fails with
/// `TYPE:NAME is unavailable. REASON`, which is warned about now.
std::unique_ptr<Table> open_or_fail(std::string_view specification, const OpenOptions&,
                                    const Log& log);

/// The tables of one parameter, searched in order: the first hit wins, an error ends the search.
class Tables {
public:
    Tables() = default;

    /// Opens each table in a list as main.cf writes it. A table that cannot be opened becomes one
    /// whose every lookup fails, with Postfix's warning; so this itself cannot fail.
    static Tables open(std::string_view parameter, std::string_view list, const OpenOptions&,
                       const Log& log);

    bool empty() const { return tables_.empty(); }
    const std::string& parameter() const { return parameter_; }

    /// An empty value in a table is a configuration error and answered as one. What went wrong has
    /// been logged when an error is returned. An empty key is never found.
    Answer find(std::string_view key) const;
    /// As find(), but skips pattern tables: for parts of addresses.
    Answer find_part(std::string_view key) const;

    /// The concerns of all tables, and the tables that could not be opened, for `status`.
    std::vector<std::string> concerns() const;

private:
    enum class Scope { Whole, Part };
    Answer search(std::string_view key, Scope) const;

    std::string parameter_;
    std::vector<std::unique_ptr<Table>> tables_;
    std::optional<Log> log_;
};

}  // namespace postrider::table
