// Writes the index beside a table's text source: F.lmdb beside F.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <time.h>

#include "core/log.h"
#include "core/result.h"
#include "table/table.h"

namespace postrider::table {

/// LMDB's own limit is 511 bytes; one is the NUL that Postfix keeps behind each key.
inline constexpr std::size_t kIndexKeySizeMax = 510;

struct IndexOptions {
    SourceSyntax source_syntax = SourceSyntax::Map;
    Duplicates duplicates = Duplicates::Warn;  ///< Refuse counts as Warn.
    bool fold = true;
    bool utf8 = true;
    bool trailing_nul = true;
    bool values_are_files = false;  ///< Each value names files; their content is stored, in base64.
    bool source_mode = true;        ///< The source's permissions; otherwise the owner's alone.
    bool source_owner = true;       ///< When root writes: the source's owner and group.
};

/// One index being written. Nobody sees it before commit(): it grows in a temporary file of mode
/// 0600 in the same directory, which is synced, then renamed over the index, so that readers keep
/// what they have open and a crash leaves the old index. Never more permissive than the source or
/// than the index it replaces. Dropped without commit(), the temporary file goes away.
class IndexWriter {
public:
    /// Starts empty. `source` is F; it need not exist.
    static Result<IndexWriter> create(const std::string& source, const IndexOptions&, const Log&);
    /// Starts with what F.lmdb holds.
    static Result<IndexWriter> update(const std::string& source, const IndexOptions&, const Log&);

    IndexWriter(IndexWriter&&) noexcept;
    IndexWriter& operator=(IndexWriter&&) noexcept;
    ~IndexWriter();

    /// Stores an entry; one whose key is there already goes by Duplicates. Keys that do not fit are
    /// warned about and skipped.
    Result<void> put(std::string_view key, std::string_view value);
    /// Whether it was there.
    Result<bool> remove(std::string_view key);
    /// Makes it the index. `as_of` becomes its modification time: that of the source it was made
    /// from, so that any later change of the source is seen.
    Result<void> commit(std::optional<timespec> as_of = std::nullopt);

private:
    struct State;
    explicit IndexWriter(std::unique_ptr<State>);
    std::unique_ptr<State> state_;
};

/// Reads F and writes F.lmdb. Malformed lines are warned about and skipped.
Result<void> build_index(const std::string& source, const IndexOptions&, const Log&);

/// Adds the entries read from descriptor `fd` (named `name` in warnings) to F.lmdb, which is
/// created if missing.
Result<void> extend_index(const std::string& source, int fd, const std::string& name,
                          const IndexOptions&, const Log&);

}  // namespace postrider::table
