#include "queue/sqlite_spool.h"

#include <limits>
#include <utility>

#include <sqlite3.h>

#include "queue/log_check.h"
#include "queue/store_files.h"

namespace postrider::queue {
namespace {

/// Of 4 KB each: with the batch that is under way they must fit into the reserve, or a busy log
/// meets the full disk before it is begun anew.
constexpr int kFramesWhenBusy = 2000;
constexpr int kFramesWhenIdle = 256;
constexpr std::int64_t kGarbagePieces = 64;

/// A table of more than 10,000 rows is not checked after an unclean stop: a million of them would
/// keep clients waiting for half a minute on a cold disk, so many for a fraction of a second. Rows
/// of mail carry a checksum of their own, which is looked at whenever they are used.
struct CheckedTable {
    const char* is_large;
    const char* check;
};
#define POSTRIDER_CHECKED(table) \
    { "SELECT 1 FROM " table " LIMIT 1 OFFSET 10000", "PRAGMA quick_check('" table "')" }
constexpr CheckedTable kCheckedTables[] = {
    POSTRIDER_CHECKED("state"),     POSTRIDER_CHECKED("message"), POSTRIDER_CHECKED("recipient"),
    POSTRIDER_CHECKED("receiving"), POSTRIDER_CHECKED("garbage"), POSTRIDER_CHECKED("account"),
    POSTRIDER_CHECKED("waiting"),
};

}  // namespace

Result<std::unique_ptr<Spool>> Spool::open(const Options& options, const Clock& clock,
                                           const Log& log) {
    Database::prepare_library();
    if (auto done = occupy_standard_descriptors(); !done) return Unexpected(done.error());
    if (auto done = check_directory(options.directory); !done) return Unexpected(done.error());
    auto lock = lock_store(options.directory);
    if (!lock) return Unexpected(lock.error());
    if (is_log_without_database(database_file(options.directory), log_file(options.directory))) {
        return Unexpected(ErrorCode::Corrupt,
                          database_file(options.directory).string() +
                              " is gone or empty, and its log is not: put it back, or move "
                              "queue.db-wal away to begin with an empty queue");
    }
    if (auto done = prepare_file(database_file(options.directory)); !done)
        return Unexpected(done.error());
    auto spool = std::make_unique<SqliteSpool>(options, false, clock, log, std::move(*lock));
    if (auto started = spool->start(); !started) return Unexpected(started.error());
    return std::unique_ptr<Spool>(std::move(spool));
}

std::string_view Spool::engine_version() {
    return sqlite3_libversion();
}

std::unique_ptr<Spool> Spool::open_in_memory(const Clock& clock) {
    Database::prepare_library();
    auto spool = std::make_unique<SqliteSpool>(Options(), true, clock, std::nullopt, UniqueFd());
    POSTRIDER_CHECK(spool->start().has_value());
    return spool;
}

SqliteSpool::SqliteSpool(const Options& options, bool in_memory, const Clock& clock,
                         std::optional<Log> log, UniqueFd lock)
    : options_(options),
      in_memory_(in_memory),
      in_place_(in_memory || options.in_place.value_or(writes_in_place(options.directory))),
      clock_(clock),
      log_(std::move(log)),
      lock_(std::move(lock)),
      files_(database_file(options.directory), options.vfs) {}

SqliteSpool::~SqliteSpool() {
    if (!is_broken() && !in_memory_) stop_cleanly();
}

Result<void> SqliteSpool::start() {
    open_reserve();
    if (auto done = with_reserve([&] { return connect(); }); !done) return done;
    if (auto done = reserve_log(); !done) return done;
    fill_reserve();
    ask_witness();
    const auto clean = database_->query_integer("SELECT stopped_cleanly FROM state");
    if (!clean) return Unexpected(clean.error());
    if (*clean == 0) {
        if (log_) log_->info("queue.db: not closed in good order last time; checking it");
        check_log();
        if (auto done = check_tables(); !done) return done;
    }
    if (auto done = read_counts(); !done) return done;
    if (auto done = with_reserve([&] { return begin_anew(); }); !done) return done;
    // The database itself has to say that it is in use: else nobody would miss its log.
    if (auto done = database_->checkpoint(); !done && log_) {
        log_->warning("not marked as in use: " + done.error().message);
    }
    if (auto done = find_suspects(); !done) return done;
    rest();
    return {};
}

Result<void> SqliteSpool::connect() {
    Database::Options options;
    options.path = in_memory_ ? ":memory:" : database_file(options_.directory).string();
    options.vfs = options_.vfs;
    options.exclusive = !in_place_;
    // Another file, even an empty one, is not what our leases and counts are about.
    if (auto there = check_place(); !there) return there;
    auto opened = open_database(options, in_memory_);
    if (!opened && opened.error().code == ErrorCode::Unavailable) {
        return Unexpected(
            ErrorCode::Unavailable,
            opened.error().message + "; somebody has it open, say a shell of sqlite3");
    }
    if (!opened) return Unexpected(opened.error());
    database_ = std::move(*opened);
    if (!in_memory_) identity_ = identity_of(database_file(options_.directory));
    const auto serial = stored_serial();
    if (!serial) {
        database_.reset();
        return Unexpected(serial.error());
    }
    serial_ = *serial;
    frames_at_checkpoint_ = 0;
    return {};
}

Result<std::int64_t> SqliteSpool::stored_serial() {
    return database_->query_integer("SELECT serial FROM state");
}

/// After a commit that failed the log is written again, as in resolve().
Result<void> SqliteSpool::begin_anew() {
    if (is_broken()) {
        auto done = write_again_and_sync(log_file(options_.directory), options_.vfs);
        if (done) done = connect();
        if (!done) return done;
    }
    auto done = drop_unfinished();
    if (!done && !in_memory_) database_.reset();
    return done;
}

/// At this instant whatever was being received stops to be a message that might come.
Result<void> SqliteSpool::drop_unfinished() {
    auto done = database_->execute(
        "BEGIN IMMEDIATE;"
        "UPDATE state SET stopped_cleanly = 0, serial = serial + 1;"
        "INSERT OR IGNORE INTO garbage SELECT number FROM receiving;"
        "DELETE FROM receiving;"
        "DELETE FROM content WHERE id < 1 << 24;"
        "COMMIT");
    if (!done) return done;
    ++serial_;
    testify();
    return {};
}

/// Whatever took it away, the end of the log or the whole store: it had been there, and is not.
void SqliteSpool::ask_witness() {
    if (in_memory_) return;
    auto opened = Witness::open(options_.directory / "queue.witness");
    if (!opened) {
        if (log_)
            log_->warning("a log without its end cannot be noticed: " + opened.error().message);
        return;
    }
    witness_.emplace(std::move(*opened));
    const auto said = witness_->said();
    if (!said || *said <= serial_ || !log_) return;
    log_->error(database_file(options_.directory).string() +
                ": older than it was, or its log has lost its end: transaction " +
                std::to_string(*said) + " was on the disk, and the last that is there is " +
                std::to_string(serial_) +
                "; mail that it held is lost, or will be sent again. After a backup was put back "
                "that is to be expected; otherwise examine the disk and its file system");
}

/// All up to now is durable. What was said last stays true if this cannot be written.
void SqliteSpool::testify() {
    if (!witness_) return;
    const auto said = witness_->say(serial_);
    const bool failed_before = std::exchange(witness_failed_, !said);
    if (said || failed_before || !log_) return;
    log_->warning("a log without its end may not be noticed: " + said.error().message);
}

/// What is left is whole in itself and goes out: mail that is gone does not come back by waiting.
void SqliteSpool::check_log() {
    if (in_memory_ || !log_) return;
    const auto damage = find_log_damage(log_file(options_.directory), options_.vfs);
    if (!damage) {
        log_->error(damage.error().message);
    } else if (!damage->empty()) {
        log_->error(log_file(options_.directory).string() + ": damaged: " + *damage +
                    "; mail that it held is lost, or will be sent again");
    }
}

Result<void> SqliteSpool::check_tables() {
    for (const CheckedTable& table : kCheckedTables) {
        const auto is_large = database_->query_integer(table.is_large);
        if (!is_large) return Unexpected(is_large.error());
        if (*is_large != 0) continue;
        const auto verdict = database_->query_text(table.check);
        if (!verdict) return Unexpected(verdict.error());
        if (*verdict != "ok") {
            return Unexpected(ErrorCode::Corrupt, database_file(options_.directory).string() +
                                                      ": damaged: " + *verdict);
        }
    }
    return {};
}

/// The partial indexes answer without a look at the messages.
Result<void> SqliteSpool::count_places() {
    constexpr const char* kQueries[kPlaceCount] = {
        "SELECT count(*) FROM message WHERE place = 0",
        "SELECT (SELECT count(*) FROM message WHERE place = 1 AND waits_for IS NULL) + "
        "(SELECT count(*) FROM message WHERE place = 1 AND waits_for IS NOT NULL)",
        "SELECT count(*) FROM message WHERE place = 2",
        "SELECT count(*) FROM message WHERE place = 3",
    };
    for (std::size_t place = 0; place < kPlaceCount; ++place) {
        const auto count = database_->query_integer(kQueries[place]);
        if (!count) return Unexpected(count.error());
        counts_[place] = static_cast<std::uint64_t>(*count);
    }
    return {};
}

Result<void> SqliteSpool::read_counts() {
    look_from_.fill(std::numeric_limits<std::int64_t>::min());
    Statement query = database_->statement(
        "SELECT new_messages, deferred_messages, held_messages, dead_messages FROM state");
    const auto row = query.step();
    if (!row) return Unexpected(row.error());
    for (std::size_t place = 0; place < kPlaceCount; ++place) {
        counts_[place] = static_cast<std::uint64_t>(query.integer(static_cast<int>(place)));
    }
    // The line goes on where it begins. Who stood in it twice may stand beside himself from now on.
    const auto first = database_->query_integer(
        "SELECT ifnull((SELECT due FROM message WHERE place = 0 ORDER BY due LIMIT 1), 0)");
    if (!first) return Unexpected(first.error());
    turns_ = FairTurns(*first);
    return {};
}

void SqliteSpool::rest() {
    files_.rest();
    if (!is_broken() && !open_) database_->release_memory();
}

void SqliteSpool::stop_cleanly() {
    acquit_leased();
    const auto marked =
        database_->execute("UPDATE state SET stopped_cleanly = 1, serial = serial + 1");
    if (marked) (void)database_->checkpoint();
}

Result<std::uint64_t> SqliteSpool::reserve(std::uint32_t count) {
    return whole([&]() -> Result<std::uint64_t> {
        const auto next = database_->query_integer("SELECT next_number FROM state");
        if (!next) return Unexpected(next.error());
        const auto first = static_cast<std::uint64_t>(*next);
        if (first + count > kNumberMax) {
            return Unexpected(ErrorCode::Limit, "no message numbers left");
        }
        const auto done =
            database_
                ->statement("UPDATE state SET next_number = next_number + ?", std::int64_t{count})
                .run();
        if (!done) return Unexpected(done.error());
        return first;
    });
}

Result<bool> SqliteSpool::collect_garbage() {
    return whole([&]() -> Result<bool> {
        std::vector<std::uint64_t> numbers;
        bool later = false;
        {
            // Content of removed messages stays while their last attempt goes on.
            const auto limit = static_cast<std::int64_t>(leases_.size()) + kGarbagePieces;
            Statement query = database_->statement("SELECT number FROM garbage LIMIT ?", limit);
            for (;;) {
                const auto row = query.step();
                if (!row) return Unexpected(row.error());
                if (!*row) break;
                const auto number = static_cast<std::uint64_t>(query.integer(0));
                if (leases_.holds(number)) continue;
                // A file is removed at once; if this transaction fails, the message is back.
                if (discarded_.contains(number)) {
                    later = true;
                } else {
                    numbers.push_back(number);
                }
            }
        }
        std::int64_t left = kGarbagePieces;
        for (const std::uint64_t number : numbers) {
            if (left <= 0) return true;
            const auto deleted = database_
                                     ->statement(
                                         "DELETE FROM content WHERE id IN (SELECT id FROM content "
                                         "WHERE id >= ? AND id < ? LIMIT ?)",
                                         content_id(number, 0), content_id(number + 1, 0), left)
                                     .run();
            if (!deleted) return Unexpected(deleted.error());
            left -= *deleted;
            if (left <= 0) return true;
            --left;
            const auto removed = files_.remove(number);
            if (!removed) {
                // It stays named, and is tried again with the next; the others go on.
                if (log_ && !std::exchange(removal_failed_, true)) {
                    log_->warning("queue store: " + removed.error().message);
                }
                continue;
            }
            if (*removed) removal_failed_ = false;
            files_removed_ = files_removed_ || *removed;
            const auto forgotten = database_
                                       ->statement("DELETE FROM garbage WHERE number = ?",
                                                   static_cast<std::int64_t>(number))
                                       .run();
            if (!forgotten) return Unexpected(forgotten.error());
        }
        return later;
    });
}

Result<void> SqliteSpool::checkpoint(bool idle) {
    if (auto good = usable(); !good) return good;
    POSTRIDER_CHECK(!open_);
    if (in_memory_) return {};
    mend_reserve();
    const int frames = database_->wal_frames();
    if (frames < (idle ? kFramesWhenIdle : kFramesWhenBusy)) {
        frames_at_checkpoint_ = 0;
        return {};
    }
    // Somebody's reading pins the log: no use in trying before it has grown a good deal.
    if (frames_at_checkpoint_ > 0 && frames < frames_at_checkpoint_ + kFramesWhenBusy) return {};
    const auto left = database_->checkpoint();
    if (!left) return Unexpected(left.error());
    frames_at_checkpoint_ = *left > 0 ? frames : 0;
    return {};
}

Result<void> SqliteSpool::check() {
    if (auto good = usable(); !good) return good;
    const auto verdict = database_->query_text("PRAGMA integrity_check(20)");
    if (!verdict) return Unexpected(verdict.error());
    if (*verdict == "ok") return {};
    return Unexpected(ErrorCode::Corrupt, "queue.db: damaged: " + *verdict);
}

}  // namespace postrider::queue
