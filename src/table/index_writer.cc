#include "table/index_writer.h"

#include <algorithm>
#include <cerrno>
#include <numeric>
#include <utility>

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/ascii.h"
#include "core/base64.h"
#include "core/unique_fd.h"
#include "table/file_trust.h"
#include "table/fold.h"
#include "table/list_syntax.h"
#include "table/lmdb_file.h"
#include "table/source_text.h"

namespace postrider::table {
namespace {

/// Entries that wait for their transaction: what a full map makes us write again.
constexpr std::size_t kBatchCountMax = 200'000;
constexpr std::size_t kBatchSizeMax = 32 * 1024 * 1024;
/// As lmdb_map_size: where the map starts. It doubles when it is full.
constexpr std::size_t kMapSizeMin = 16 * 1024 * 1024;
constexpr std::size_t kMapSizeMax = std::size_t{1} << 40;
constexpr int kTemporaryNamesMax = 100;
constexpr int kReplacementsMax = 100;
/// What one value of a `postmap -F` table may bring in.
constexpr std::size_t kValueFileSizeMax = 16 * 1024 * 1024;

std::string file_name(const std::string& path) {
    return path.substr(path.rfind('/') + 1);
}

bool is_same_file(const struct stat& a, const struct stat& b) {
    return a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

Result<void> write_all(int fd, std::string_view bytes, const std::string& attempt) {
    while (!bytes.empty()) {
        const ssize_t written = ::write(fd, bytes.data(), bytes.size());
        if (written < 0 && errno == EINTR) continue;
        if (written < 0) return Unexpected(system_error(attempt, errno));
        bytes.remove_prefix(static_cast<std::size_t>(written));
    }
    return {};
}

/// Calls `each` with the blocks of the file behind `fd`.
template <typename Each>
Result<void> read_blocks(int fd, const std::string& attempt, Each each) {
    std::string block(64 * 1024, '\0');
    for (;;) {
        const ssize_t got = ::read(fd, block.data(), block.size());
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return Unexpected(system_error(attempt, errno));
        if (got == 0) return {};
        const auto taken = each(std::string_view(block.data(), static_cast<std::size_t>(got)));
        if (!taken) return taken;
    }
}

/// The content of the files that a value names, one after the other, in base64.
Result<std::string> content_of_files(std::string_view names) {
    std::string content;
    for (const std::string& name : split_list(names)) {
        const auto fd = open_source(name, {});
        if (!fd) return Unexpected(fd.error());
        if (!content.empty()) content.push_back('\n');
        const auto read =
            read_blocks(fd->get(), "read " + name, [&](std::string_view block) -> Result<void> {
                if (content.size() + block.size() > kValueFileSizeMax)
                    return Unexpected(ErrorCode::Limit, name + " is too large for a table");
                content += block;
                return {};
            });
        if (!read) return Unexpected(read.error());
    }
    return base64(content);
}

}  // namespace

struct IndexWriter::State {
    State(const std::string& source_path, const IndexOptions& index_options, const Log& writer_log)
        : options(index_options),
          log(writer_log),
          source(source_path),
          index(source_path + std::string(kIndexSuffix)),
          index_name(file_name(index)) {}

    ~State() {
        if (!temporary_name.empty()) ::unlinkat(directory.get(), temporary_name.c_str(), 0);
    }

    std::string attempt() const { return "open database " + index; }

    Result<void> open_directory() {
        const std::string path = parent_directory(index);
        directory.reset(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
        if (!directory) return Unexpected(system_error(attempt(), errno));
        return {};
    }

    /// Private from the first instant: nobody else ever has a descriptor of it.
    Result<void> create_temporary() {
        for (int n = 0; n < kTemporaryNamesMax; ++n) {
            std::string name =
                "." + index_name + "." + std::to_string(::getpid()) + "." + std::to_string(n);
            temporary.reset(::openat(directory.get(), name.c_str(),
                                     O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
            if (temporary) {
                temporary_name = std::move(name);
                return {};
            }
            if (errno != EEXIST) return Unexpected(system_error(attempt(), errno));
        }
        return Unexpected(system_error(attempt(), EEXIST));
    }

    /// By descriptor, so that whoever may write in the directory cannot put another file under us.
    Result<void> open_environment() {
        MDB_env* raw = nullptr;
        if (const int outcome = mdb_env_create(&raw); outcome != 0)
            return Unexpected(lmdb_error(attempt(), outcome));
        environment.reset(raw);
        struct stat status {};
        if (::fstat(temporary.get(), &status) == 0)
            map_size = std::max(map_size, static_cast<std::size_t>(status.st_size) * 2);
        mdb_env_set_mapsize(raw, map_size);
        const std::string path = "/proc/self/fd/" + std::to_string(temporary.get());
        constexpr unsigned kFlags = MDB_NOSUBDIR | MDB_NOLOCK | MDB_NOSYNC;
        if (const int outcome = mdb_env_open(raw, path.c_str(), kFlags, 0600); outcome != 0)
            return Unexpected(lmdb_error(attempt(), outcome));
        return {};
    }

    /// Holds the lock of the present index until we are gone, so that two updates follow each
    /// other, and copies it.
    Result<void> copy_present_index() {
        for (int n = 0; n < kReplacementsMax; ++n) {
            present.reset(
                ::openat(directory.get(), index_name.c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC));
            if (!present || ::flock(present.get(), LOCK_EX) != 0)
                return Unexpected(system_error(attempt(), errno));
            struct stat opened {};
            struct stat named {};
            if (::fstat(present.get(), &opened) != 0 ||
                ::fstatat(directory.get(), index_name.c_str(), &named, AT_SYMLINK_NOFOLLOW) != 0)
                return Unexpected(system_error(attempt(), errno));
            if (!is_same_file(opened, named)) continue;
            return read_blocks(present.get(), "read " + index, [&](std::string_view block) {
                return write_all(temporary.get(), block, "write " + index);
            });
        }
        return Unexpected(ErrorCode::Unavailable, index + " is being replaced again and again");
    }

    Result<void> flush() {
        for (;;) {
            const int outcome = write_batch();
            if (outcome == 0) break;
            if (outcome != MDB_MAP_FULL || map_size >= kMapSizeMax)
                return Unexpected(lmdb_error("error updating " + index, outcome));
            map_size *= 2;
            mdb_env_set_mapsize(environment.get(), map_size);
        }
        std::sort(repeated.begin(), repeated.end());
        for (const std::size_t at : std::exchange(repeated, {}))
            log.warning(index + ": duplicate entry: \"" + shown_key(at) + "\"");
        batch.clear();
        batch_size = 0;
        return {};
    }

    int begin(Transaction& transaction, MDB_dbi& entries) {
        MDB_txn* raw = nullptr;
        if (const int outcome = mdb_txn_begin(environment.get(), nullptr, 0, &raw); outcome != 0)
            return outcome;
        transaction.reset(raw);
        return mdb_dbi_open(raw, nullptr, 0, &entries);
    }

    int write_batch() {
        Transaction transaction;
        MDB_dbi entries = 0;
        if (const int outcome = begin(transaction, entries); outcome != 0) return outcome;
        repeated.clear();
        const bool replace = options.duplicates == Duplicates::Replace;
        for (const std::size_t at : in_order_of_keys()) {
            MDB_val key = lmdb_value(batch[at].first);
            MDB_val value = lmdb_value(batch[at].second);
            const int outcome =
                mdb_put(transaction.get(), entries, &key, &value, replace ? 0 : MDB_NOOVERWRITE);
            if (outcome == MDB_KEYEXIST) {
                if (options.duplicates != Duplicates::Ignore) repeated.push_back(at);
            } else if (outcome != 0) {
                return outcome;
            }
        }
        return mdb_txn_commit(transaction.release());
    }

    /// Positions in the batch, neighbours in the tree next to each other: each page is touched
    /// once. Equal keys stay in the order of the source.
    std::vector<std::size_t> in_order_of_keys() const {
        std::vector<std::size_t> order(batch.size());
        std::iota(order.begin(), order.end(), std::size_t{0});
        std::stable_sort(order.begin(), order.end(), [this](std::size_t a, std::size_t b) {
            return batch[a].first < batch[b].first;
        });
        return order;
    }

    std::string shown_key(std::size_t at) const {
        const std::string& key = batch[at].first;
        return options.trailing_nul ? key.substr(0, key.size() - 1) : key;
    }

    /// Owner and permissions: the source's, never wider than those of the index it replaces.
    Result<void> dress() {
        struct stat reference {};
        struct stat replaced {};
        const bool has_source = ::stat(source.c_str(), &reference) == 0;
        const bool has_index =
            ::fstatat(directory.get(), index_name.c_str(), &replaced, AT_SYMLINK_NOFOLLOW) == 0 &&
            S_ISREG(replaced.st_mode);
        if (!has_source && has_index) reference = replaced;
        mode_t readers = has_source || has_index ? reference.st_mode & (S_IRGRP | S_IROTH) : 0;
        if (has_index) readers &= replaced.st_mode;
        if (!options.source_mode) readers = 0;
        if (!take_owner(reference, has_source || has_index)) readers &= ~mode_t{S_IRGRP};
        if (::fchmod(temporary.get(), S_IRUSR | S_IWUSR | readers) != 0)
            return Unexpected(system_error("chmod " + index, errno));
        return {};
    }

    /// Whether the temporary file has the group of the reference now.
    bool take_owner(const struct stat& reference, bool has_reference) {
        if (!has_reference) return false;
        struct stat own {};
        if (::fstat(temporary.get(), &own) != 0) return false;
        const bool as_root = ::geteuid() == 0 && options.source_owner;
        const uid_t owner = as_root ? reference.st_uid : own.st_uid;
        if (owner == own.st_uid && reference.st_gid == own.st_gid) return true;
        if (::geteuid() == 0 && !options.source_owner) return false;
        return ::fchown(temporary.get(), owner, reference.st_gid) == 0;
    }

    Result<void> publish(std::optional<timespec> as_of) {
        if (as_of) {
            const timespec times[2] = {*as_of, *as_of};
            if (::futimens(temporary.get(), times) != 0)
                return Unexpected(system_error("set the time of " + index, errno));
        }
        if (::fsync(temporary.get()) != 0) return Unexpected(system_error("fsync " + index, errno));
        if (::renameat(directory.get(), temporary_name.c_str(), directory.get(),
                       index_name.c_str()) != 0)
            return Unexpected(system_error("rename to " + index, errno));
        temporary_name.clear();
        if (::fsync(directory.get()) != 0)
            return Unexpected(system_error("fsync " + parent_directory(index), errno));
        return {};
    }

    std::string stored(std::string_view text) const {
        std::string result(text);
        if (options.trailing_nul) result.push_back('\0');
        return result;
    }

    std::string folded_key(std::string_view key) const {
        return options.fold ? folded(key, options.utf8) : std::string(key);
    }

    IndexOptions options;
    Log log;
    std::string source;
    std::string index;
    std::string index_name;
    UniqueFd directory;
    UniqueFd present;  ///< The index that is being updated, locked.
    UniqueFd temporary;
    std::string temporary_name;  ///< Empty when there is nothing to take away.
    Environment environment;
    std::size_t map_size = kMapSizeMin;
    std::vector<std::pair<std::string, std::string>> batch;
    std::size_t batch_size = 0;
    std::vector<std::size_t> repeated;  ///< Positions in the batch whose key was there already.
};

IndexWriter::IndexWriter(std::unique_ptr<State> state) : state_(std::move(state)) {}
IndexWriter::IndexWriter(IndexWriter&&) noexcept = default;
IndexWriter& IndexWriter::operator=(IndexWriter&&) noexcept = default;
IndexWriter::~IndexWriter() = default;

Result<IndexWriter> IndexWriter::create(const std::string& source, const IndexOptions& options,
                                        const Log& log) {
    auto state = std::make_unique<State>(source, options, log);
    if (auto opened = state->open_directory(); !opened) return Unexpected(opened.error());
    if (auto created = state->create_temporary(); !created) return Unexpected(created.error());
    if (auto opened = state->open_environment(); !opened) return Unexpected(opened.error());
    return IndexWriter(std::move(state));
}

Result<IndexWriter> IndexWriter::update(const std::string& source, const IndexOptions& options,
                                        const Log& log) {
    auto state = std::make_unique<State>(source, options, log);
    if (auto present = IndexReader::open(state->index); !present)
        return Unexpected(present.error());
    if (auto opened = state->open_directory(); !opened) return Unexpected(opened.error());
    if (auto created = state->create_temporary(); !created) return Unexpected(created.error());
    if (auto copied = state->copy_present_index(); !copied) return Unexpected(copied.error());
    if (auto opened = state->open_environment(); !opened) return Unexpected(opened.error());
    return IndexWriter(std::move(state));
}

Result<void> IndexWriter::put(std::string_view key, std::string_view value) {
    State& state = *state_;
    const std::string folded_key = state.folded_key(key);
    if (folded_key.empty() || folded_key.size() > kIndexKeySizeMax) {
        state.log.warning(state.index + ": a key of " + std::to_string(folded_key.size()) +
                          " bytes does not fit, the limit is " + std::to_string(kIndexKeySizeMax) +
                          " -- ignoring \"" + folded_key.substr(0, 60) + "...\"");
        return {};
    }
    state.batch.emplace_back(state.stored(folded_key), state.stored(value));
    state.batch_size += folded_key.size() + value.size();
    if (state.batch.size() < kBatchCountMax && state.batch_size < kBatchSizeMax) return {};
    return state.flush();
}

Result<bool> IndexWriter::remove(std::string_view key) {
    State& state = *state_;
    if (auto flushed = state.flush(); !flushed) return Unexpected(flushed.error());
    const std::string attempt = "error deleting from " + state.index;
    Transaction transaction;
    MDB_dbi entries = 0;
    if (const int outcome = state.begin(transaction, entries); outcome != 0)
        return Unexpected(lmdb_error(attempt, outcome));
    std::string text = state.folded_key(key);
    if (text.empty() || text.size() > kIndexKeySizeMax) return false;
    text.push_back('\0');
    MDB_val wanted = lmdb_value(text);
    int outcome = mdb_del(transaction.get(), entries, &wanted, nullptr);
    if (outcome == MDB_NOTFOUND) {
        wanted.mv_size -= 1;
        outcome = mdb_del(transaction.get(), entries, &wanted, nullptr);
    }
    if (outcome == MDB_NOTFOUND) return false;
    if (outcome == 0) outcome = mdb_txn_commit(transaction.release());
    if (outcome != 0) return Unexpected(lmdb_error(attempt, outcome));
    return true;
}

Result<void> IndexWriter::commit(std::optional<timespec> as_of) {
    State& state = *state_;
    if (auto flushed = state.flush(); !flushed) return flushed;
    state.environment.reset();
    if (auto dressed = state.dress(); !dressed) return dressed;
    return state.publish(as_of);
}

namespace {

Result<void> put_entries(IndexWriter& writer, LogicalLines lines, const IndexOptions& options,
                         const Log& log) {
    const std::string name = lines.name();
    Entries entries(std::move(lines), EntryFormat{options.source_syntax, options.utf8, {}}, log);
    for (;;) {
        auto entry = entries.next();
        if (!entry) return Unexpected(entry.error());
        if (!*entry) break;
        if (options.values_are_files) {
            auto content = content_of_files((*entry)->value);
            if (!content) {
                log.warning(at_line(name, (*entry)->number,
                                    content.error().message + ": skipping this entry"));
                continue;
            }
            (*entry)->value = std::move(*content);
        }
        if (auto stored = writer.put((*entry)->key, (*entry)->value); !stored) return stored;
    }
    if (options.source_syntax == SourceSyntax::Map) return {};
    // sendmail's sign that an alias database is complete.
    if (auto removed = writer.remove("@"); !removed) return Unexpected(removed.error());
    return writer.put("@", "@");
}

/// Root does not follow what somebody else may have put in a directory of theirs, and says so
/// when a file of root's lies there.
Result<UniqueFd> open_index_source(const std::string& source, const Log& log) {
    const bool foreign = ::geteuid() == 0 && !is_own_directory(source, OpenOptions{});
    const int flags = O_RDONLY | O_CLOEXEC | O_NOCTTY | (foreign ? O_NOFOLLOW : 0);
    UniqueFd fd(::open(source.c_str(), flags));
    if (!fd && foreign && errno == ELOOP)
        return Unexpected(ErrorCode::Denied,
                          "open " + source +
                              ": a symbolic link in a directory that others can write is not "
                              "followed for root");
    if (!fd) return Unexpected(system_error("open " + source, errno));
    struct stat status {};
    if (foreign && ::fstat(fd.get(), &status) == 0 && status.st_uid == 0)
        log.warning(source + " belongs to root, but others can write in its directory " +
                    parent_directory(source) +
                    " and replace it and its index; give both one owner");
    return fd;
}

}  // namespace

Result<void> build_index(const std::string& source, const IndexOptions& options, const Log& log) {
    const auto fd = open_index_source(source, log);
    if (!fd) return Unexpected(fd.error());
    struct stat status {};
    if (::fstat(fd->get(), &status) != 0) return Unexpected(system_error("stat " + source, errno));
    auto writer = IndexWriter::create(source, options, log);
    if (!writer) return Unexpected(writer.error());
    const auto stored = put_entries(*writer, LogicalLines(source, fd->get(), log), options, log);
    if (!stored) return stored;
    // The time from before the reading: what changes meanwhile is newer.
    return writer->commit(S_ISREG(status.st_mode) ? std::optional(status.st_mtim) : std::nullopt);
}

Result<void> extend_index(const std::string& source, int fd, const std::string& name,
                          const IndexOptions& options, const Log& log) {
    auto writer = IndexWriter::update(source, options, log);
    if (!writer && writer.error().code == ErrorCode::NotFound)
        writer = IndexWriter::create(source, options, log);
    if (!writer) return Unexpected(writer.error());
    const auto stored = put_entries(*writer, LogicalLines(name, fd, log), options, log);
    if (!stored) return stored;
    return writer->commit();
}

}  // namespace postrider::table
