// Lookup tables: one question, one answer, many kinds of source.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/log.h"
#include "core/result.h"

namespace postrider::table {

/// Found, absent, or an error that means "ask again later": callers defer, they never take a
/// failed lookup for "no entry".
using Answer = Result<std::optional<std::string>>;

/// One table, opened: `hash:/etc/postfix/smtp_auth`, `regexp:...`, `inline:{...}`.
///
/// Everything is in memory or mapped when it has been opened: find() touches no file and never
/// blocks, so it may run on the network thread of a process that can open nothing.
class Table {
public:
    virtual ~Table() = default;

    /// Looks `key` up. Fixed-key tables fold its case as they folded their keys.
    virtual Answer find(std::string_view key) const = 0;

    /// Pattern tables (regexp, pcre, cidr) are asked for whole addresses only, never for parts.
    virtual bool is_pattern() const { return false; }

    /// `type:name`, as in the configuration and in log lines.
    const std::string& name() const { return name_; }

protected:
    explicit Table(std::string name) : name_(std::move(name)) {}

private:
    std::string name_;
};

/// Whether `$1` may bring text of the key into a result; not where results are trusted
/// (alias_maps, credentials).
enum class Substitution { Allowed, Forbidden };

struct OpenOptions {
    Substitution substitution = Substitution::Allowed;
    bool utf8 = true;  ///< smtputf8_enable: keys and values must be UTF-8.
};

/// Opens one table. Malformed rules in its source are warned about in `log` and skipped, as Postfix
/// does; a missing or unreadable source is an Error.
Result<std::unique_ptr<Table>> open_table(std::string_view specification, const OpenOptions&,
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

    /// An empty value in a table is a configuration error and answered as one.
    Answer find(std::string_view key) const;
    /// As find(), but skips pattern tables: for parts of addresses.
    Answer find_part(std::string_view key) const;

private:
    std::string parameter_;
    std::vector<std::unique_ptr<Table>> tables_;
};

}  // namespace postrider::table
