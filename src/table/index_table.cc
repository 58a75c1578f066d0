#include "table/index_table.h"

#include <cerrno>
#include <utility>

#include <sys/stat.h>

#include "core/ascii.h"
#include "table/file_trust.h"
#include "table/fold.h"
#include "table/index_writer.h"
#include "table/lmdb_file.h"
#include "table/table_types.h"

namespace postrider::table {
namespace {

/// Postfix keeps a NUL behind each key and value, unless told not to.
std::string_view without_nul(std::string_view text) {
    if (text.ends_with('\0')) text.remove_suffix(1);
    return text;
}

class IndexTable final : public Table {
public:
    IndexTable(const Opening& opening, std::vector<std::string> concerns, IndexReader reader)
        : Table(opening.specification(), std::move(concerns)),
          utf8_(opening.options.utf8),
          fold_(opening.options.fold),
          reader_(std::move(reader)) {}

    Answer find(std::string_view key) const override {
        if (utf8_ && !is_utf8(key)) return std::optional<std::string>();
        std::string text = fold_ ? folded(key, utf8_) : std::string(key);
        if (text.size() > kIndexKeySizeMax) return std::optional<std::string>();
        text.push_back('\0');
        auto answer = get(text);
        if (!answer || *answer) return answer;
        text.pop_back();
        return text.empty() ? std::optional<std::string>() : get(text);
    }

private:
    Answer get(std::string_view key) const {
        MDB_val wanted = lmdb_value(key);
        MDB_val found{};
        const int outcome = mdb_get(reader_.transaction.get(), reader_.entries, &wanted, &found);
        if (outcome == MDB_NOTFOUND) return std::optional<std::string>();
        if (outcome != 0) return Unexpected(lmdb_error("error reading " + name(), outcome));
        return std::optional(std::string(without_nul(text_of(found))));
    }

    bool utf8_;
    bool fold_;
    IndexReader reader_;
};

bool is_newer(const timespec& a, const timespec& b) {
    return std::pair(a.tv_sec, a.tv_nsec) > std::pair(b.tv_sec, b.tv_nsec);
}

/// Opens the index of one source, making it first when that is needed and allowed.
class IndexOpener {
public:
    explicit IndexOpener(const Opening& opening)
        : opening_(opening), source_(opening.name), index_(source_ + std::string(kIndexSuffix)) {}

    OpenedTable open() {
        if (const auto checked = check_source(); !checked) return Unexpected(checked.error());
        auto reader = IndexReader::open(index_);
        const bool stale = reader && is_stale(reader->fd);
        if ((!reader || stale) && has_source_ && rebuild()) {
            reader = IndexReader::open(index_);
        } else if (stale) {
            concerns_.push_back("database " + index_ + " is older than source file " + source_ +
                                "; mend it with: " + command());
        }
        if (!reader) return Unexpected(with_advice(reader.error()));
        const auto trusted = check_trust(index_, reader->fd, opening_.options);
        if (!trusted) return Unexpected(trusted.error());
        concerns_.insert(concerns_.end(), trusted->begin(), trusted->end());
        return std::unique_ptr<Table>(
            std::make_unique<IndexTable>(opening_, std::move(concerns_), std::move(*reader)));
    }

private:
    /// A source that can be seen but not read is no reason not to use its index.
    Result<void> check_source() {
        const auto fd = open_source(source_, opening_.options);
        struct stat status {};
        has_source_ = ::stat(source_.c_str(), &status) == 0;
        if (has_source_) source_time_ = status.st_mtim;
        if (!fd) return {};
        auto trusted = check_trust(source_, fd->get(), opening_.options);
        if (!trusted) return Unexpected(trusted.error());
        concerns_ = std::move(*trusted);
        return {};
    }

    bool is_stale(int index_fd) const {
        struct stat status {};
        return has_source_ && ::fstat(index_fd, &status) == 0 &&
               is_newer(source_time_, status.st_mtim);
    }

    /// In a directory of somebody else's nothing is written unasked.
    bool rebuild() {
        const OpenOptions& options = opening_.options;
        if (options.reindexing == Reindexing::Forbidden) return false;
        if (!is_own_directory(source_, options)) return false;
        IndexOptions index;
        index.source_syntax = options.source_syntax;
        index.utf8 = options.utf8;
        index.source_mode = !options.secret;
        const auto built = build_index(source_, index, opening_.log);
        if (built) {
            opening_.log.info("rebuilt " + index_ + " from " + source_);
        } else if (built.error().code != ErrorCode::Denied) {
            opening_.log.warning(built.error().message);
        }
        return built.has_value();
    }

    std::string command() const {
        const bool aliases = opening_.options.source_syntax == SourceSyntax::Aliases;
        return (aliases ? "postalias " : "postmap ") + opening_.specification();
    }

    Error with_advice(Error error) const {
        if (has_source_) error.message += "; mend it with: " + command();
        return error;
    }

    const Opening& opening_;
    std::string source_;
    std::string index_;
    bool has_source_ = false;
    timespec source_time_{};
    std::vector<std::string> concerns_;
};

}  // namespace

OpenedTable open_index(const Opening& opening) {
    if (needs_opener(opening.name, opening.options)) {
        // An index cannot be used by its descriptor, and it says nothing that its text does not.
        OpenOptions options = opening.options;
        options.duplicates = Duplicates::Ignore;
        return open_texthash({opening.type, opening.name, options, opening.log, opening.depth});
    }
    return IndexOpener(opening).open();
}

Result<void> for_each_entry(
    const std::string& source,
    const std::function<void(std::string_view key, std::string_view value)>& each) {
    const std::string path = source + std::string(kIndexSuffix);
    const auto reader = IndexReader::open(path);
    if (!reader) return Unexpected(reader.error());
    MDB_cursor* cursor = nullptr;
    int outcome = mdb_cursor_open(reader->transaction.get(), reader->entries, &cursor);
    if (outcome != 0) return Unexpected(lmdb_error("read " + path, outcome));
    MDB_val key{};
    MDB_val value{};
    while ((outcome = mdb_cursor_get(cursor, &key, &value, MDB_NEXT)) == 0)
        each(without_nul(text_of(key)), without_nul(text_of(value)));
    mdb_cursor_close(cursor);
    if (outcome != MDB_NOTFOUND) return Unexpected(lmdb_error("read " + path, outcome));
    return {};
}

}  // namespace postrider::table
