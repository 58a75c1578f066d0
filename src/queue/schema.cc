#include "queue/schema.h"

#include <iterator>
#include <string>

namespace postrider::queue {
namespace {

constexpr std::int64_t kApplicationId = 0x706f7374;  // "post"

// state      one row. `serial` grows with every transaction that writes, so that after an unclear
//            commit one look tells whether it holds.
// message    everything but recipients and content. The four indexes are partial: each message is
//            in exactly one, ordered by when it is due; of new mail, which is due at once, `due` is
//            the place in line (core/fair_turns.h).
// recipient  those not yet settled. Disposition columns are NULL before the first attempt.
// content    in pieces of up to 64 KB, lines ending in CRLF.
// receiving  messages whose content has begun to come in, with what came so far. Whatever is here
//            at start was never accepted.
// garbage    messages that are gone and whose content is still to be deleted.
//
// This is format 1. Each later one is a step from the one before it, which a new database takes,
// too: then both are the same.
constexpr const char* kTables = R"sql(
CREATE TABLE state(
    one INTEGER PRIMARY KEY CHECK(one = 1),
    next_number INTEGER NOT NULL,
    serial INTEGER NOT NULL,
    stopped_cleanly INTEGER NOT NULL
) STRICT;
CREATE TABLE message(
    number INTEGER PRIMARY KEY,
    place INTEGER NOT NULL CHECK(place BETWEEN 0 AND 3),
    due INTEGER NOT NULL,
    attempts INTEGER NOT NULL,
    recipients INTEGER NOT NULL,
    dead INTEGER NOT NULL,
    delay_reported INTEGER NOT NULL,
    expire INTEGER NOT NULL,
    id TEXT NOT NULL,
    arrival INTEGER NOT NULL,
    origin INTEGER NOT NULL,
    submitter_uid INTEGER NOT NULL,
    client TEXT NOT NULL,
    size INTEGER NOT NULL,
    content_length INTEGER NOT NULL,
    checksum INTEGER NOT NULL,
    header_length INTEGER NOT NULL,
    longest_line INTEGER NOT NULL,
    has_8bit INTEGER NOT NULL,
    content_filter TEXT NOT NULL,
    sender_local TEXT NOT NULL,
    sender_domain TEXT NOT NULL,
    envelope_id TEXT NOT NULL,
    dsn_return INTEGER NOT NULL,
    body INTEGER NOT NULL,
    smtputf8 INTEGER NOT NULL
) STRICT;
CREATE INDEX message_new ON message(due) WHERE place = 0;
CREATE INDEX message_deferred ON message(due) WHERE place = 1;
CREATE INDEX message_held ON message(due) WHERE place = 2;
CREATE INDEX message_dead ON message(due) WHERE place = 3;
CREATE TABLE recipient(
    id INTEGER PRIMARY KEY,
    state INTEGER NOT NULL CHECK(state BETWEEN 0 AND 2),
    local_part TEXT NOT NULL,
    domain TEXT NOT NULL,
    original_local TEXT,
    original_domain TEXT,
    original_recipient TEXT NOT NULL,
    notify INTEGER NOT NULL,
    kind INTEGER,
    status TEXT,
    reason TEXT,
    remote_mta TEXT,
    diagnostic TEXT
) STRICT;
CREATE TABLE content(
    id INTEGER PRIMARY KEY,
    bytes BLOB NOT NULL
) STRICT;
CREATE TABLE receiving(
    number INTEGER PRIMARY KEY,
    pieces INTEGER NOT NULL,
    length INTEGER NOT NULL
) STRICT;
CREATE TABLE garbage(
    number INTEGER PRIMARY KEY
) STRICT;
INSERT INTO state VALUES(1, 0x10000, 0, 1);
PRAGMA application_id = 0x706f7374;
PRAGMA user_version = 1;
)sql";

// account    what stands in the way of mail (queue/account.h); no row: nothing does.
// message    waits_for is the key of an account: due when that is repaired, whatever `due` says.
constexpr const char* kFrom1To2 = R"sql(
CREATE TABLE account(
    key TEXT PRIMARY KEY,
    trouble INTEGER NOT NULL CHECK(trouble BETWEEN 1 AND 5),
    since INTEGER NOT NULL,
    next_attempt INTEGER NOT NULL,
    interval INTEGER NOT NULL,
    status TEXT NOT NULL,
    reason TEXT NOT NULL,
    advice TEXT NOT NULL,
    password_mark INTEGER NOT NULL,
    alerted INTEGER NOT NULL
) STRICT;
ALTER TABLE message ADD COLUMN waits_for TEXT;
DROP INDEX message_deferred;
CREATE INDEX message_deferred ON message(due) WHERE place = 1 AND waits_for IS NULL;
CREATE INDEX message_waiting ON message(waits_for) WHERE place = 1 AND waits_for IS NOT NULL;
PRAGMA user_version = 2;
)sql";

// row_check  over what never changes in the row (records.cc); NULL in rows of older formats.
constexpr const char* kFrom2To3 = R"sql(
ALTER TABLE message ADD COLUMN row_check INTEGER;
ALTER TABLE recipient ADD COLUMN row_check INTEGER;
PRAGMA user_version = 3;
)sql";

// state      how many messages are in each place: written with each transaction.
// waiting    how many wait for each account. Both save a start and a status the counting, which
//            for a million messages means reading 80 MB of indexes.
// message    mail that waits for an account has times, too, at which it must be looked at.
constexpr const char* kFrom3To4 = R"sql(
ALTER TABLE state ADD COLUMN new_messages INTEGER NOT NULL DEFAULT 0;
ALTER TABLE state ADD COLUMN deferred_messages INTEGER NOT NULL DEFAULT 0;
ALTER TABLE state ADD COLUMN held_messages INTEGER NOT NULL DEFAULT 0;
ALTER TABLE state ADD COLUMN dead_messages INTEGER NOT NULL DEFAULT 0;
UPDATE state SET
    new_messages = (SELECT count(*) FROM message WHERE place = 0),
    deferred_messages = (SELECT count(*) FROM message WHERE place = 1),
    held_messages = (SELECT count(*) FROM message WHERE place = 2),
    dead_messages = (SELECT count(*) FROM message WHERE place = 3);
CREATE TABLE waiting(
    account TEXT PRIMARY KEY,
    messages INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO waiting SELECT waits_for, count(*) FROM message
    WHERE place = 1 AND waits_for IS NOT NULL GROUP BY waits_for;
CREATE TRIGGER message_waits AFTER UPDATE OF waits_for ON message
WHEN OLD.waits_for IS NOT NEW.waits_for
BEGIN
    UPDATE waiting SET messages = messages - 1 WHERE account = OLD.waits_for;
    DELETE FROM waiting WHERE account = OLD.waits_for AND messages <= 0;
    INSERT INTO waiting SELECT NEW.waits_for, 1 WHERE NEW.waits_for IS NOT NULL
        ON CONFLICT(account) DO UPDATE SET messages = messages + 1;
END;
CREATE TRIGGER message_gone AFTER DELETE ON message WHEN OLD.waits_for IS NOT NULL
BEGIN
    UPDATE waiting SET messages = messages - 1 WHERE account = OLD.waits_for;
    DELETE FROM waiting WHERE account = OLD.waits_for AND messages <= 0;
END;
CREATE INDEX message_waiting_due ON message(waits_for, due)
    WHERE place = 1 AND waits_for IS NOT NULL;
PRAGMA user_version = 4;
)sql";

// taken      the files of maildrop that became messages last, by NewMessage::drop.
constexpr const char* kFrom4To5 = R"sql(
CREATE TABLE taken(
    number INTEGER PRIMARY KEY,
    file TEXT NOT NULL UNIQUE
) STRICT;
PRAGMA user_version = 5;
)sql";

// waiting    is kept by the code, once a transaction (spool_accounts.cc): the triggers took a third
// of
//            the time of putting a message off.
constexpr const char* kFrom5To6 = R"sql(
DROP TRIGGER message_waits;
DROP TRIGGER message_gone;
PRAGMA user_version = 6;
)sql";

constexpr const char* kSteps[] = {kFrom1To2, kFrom2To3, kFrom3To4, kFrom4To5, kFrom5To6};
static_assert(std::size(kSteps) + 1 == kFormat);

struct Setting {
    const char* set;
    const char* read;
    const char* expected;
};

// mmap: an I/O error under it is a SIGBUS, not an error code. secure_delete=FAST (2): the full mode
// some distributions compile in would write 20 MB of log to delete 20 MB.
// cache_size: 2 MB, about what SQLite takes by itself, whatever a distribution compiled in. Pages
// of one transaction beyond that go to the log before its commit, which costs nothing but order;
// the upper levels of an index over a million messages are some dozen pages.
constexpr Setting kSettings[] = {
    {"PRAGMA synchronous = FULL", "PRAGMA synchronous", "2"},
    {"PRAGMA foreign_keys = ON", "PRAGMA foreign_keys", "1"},
    {"PRAGMA trusted_schema = OFF", "PRAGMA trusted_schema", "0"},
    {"PRAGMA secure_delete = FAST", "PRAGMA secure_delete", "2"},
    {"PRAGMA temp_store = MEMORY", "PRAGMA temp_store", "2"},
    {"PRAGMA cache_size = -2048", "PRAGMA cache_size", "-2048"},
};
constexpr Setting kExclusive = {"PRAGMA locking_mode = EXCLUSIVE", "PRAGMA locking_mode",
                                "exclusive"};
constexpr Setting kFileSettings[] = {
    {"PRAGMA journal_mode = WAL", "PRAGMA journal_mode", "wal"},
    {"PRAGMA mmap_size = 0", "PRAGMA mmap_size", "0"},
    {"PRAGMA journal_size_limit = -1", "PRAGMA journal_size_limit", "-1"},
};

Result<void> apply(Database& database, const Setting& setting) {
    if (auto done = database.execute(setting.set); !done) return done;
    const auto value = database.query_text(setting.read);
    if (!value) return Unexpected(value.error());
    if (*value == setting.expected) return {};
    return Unexpected(ErrorCode::Io, std::string(setting.set) + " has no effect: " + *value);
}

/// Whose database is it, and of which format? 0 if it is empty.
Result<std::int64_t> check_format(Database& database) {
    const auto application = database.query_integer("PRAGMA application_id");
    if (!application) return Unexpected(application.error());
    const auto format = database.query_integer("PRAGMA user_version");
    if (!format) return Unexpected(format.error());
    const auto tables = database.query_integer("SELECT count(*) FROM sqlite_schema");
    if (!tables) return Unexpected(tables.error());
    if (*tables == 0 && *application == 0 && *format == 0) return 0;
    if (*application != kApplicationId || *format < 1) {
        return Unexpected(ErrorCode::Invalid, "queue.db: a database, but not a postrider queue");
    }
    if (*format > kFormat) {
        return Unexpected(ErrorCode::Invalid, "queue.db: written by a newer postrider (format " +
                                                  std::to_string(*format) +
                                                  ", this one knows up to " +
                                                  std::to_string(kFormat) + ")");
    }
    return *format;
}

/// From `format` to ours, all or nothing.
Result<void> bring_up_to_date(Database& database, std::int64_t format) {
    if (format == kFormat) return {};
    auto done = database.execute("BEGIN IMMEDIATE");
    if (done && format == 0) done = database.execute(kTables);
    for (std::size_t step = format == 0 ? 0 : static_cast<std::size_t>(format) - 1;
         done && step < std::size(kSteps); ++step) {
        done = database.execute(kSteps[step]);
    }
    if (done) done = database.execute("COMMIT");
    return done;
}

}  // namespace

Result<std::unique_ptr<Database>> open_database(const Database::Options& options, bool in_memory) {
    auto opened = Database::open(options);
    if (!opened) return opened;
    Database& database = **opened;
    if (options.exclusive) {
        // Before anything is read: the first look at a database with a log maps the file.
        if (auto done = apply(database, kExclusive); !done) return Unexpected(done.error());
    }
    const auto format = check_format(database);
    if (!format) return Unexpected(format.error());
    if (*format == 0) {
        // Only an empty database takes another page size.
        if (auto done = database.execute("PRAGMA page_size = 4096"); !done) {
            return Unexpected(done.error());
        }
    }
    if (!in_memory) {
        for (const Setting& setting : kFileSettings) {
            if (auto done = apply(database, setting); !done) return Unexpected(done.error());
        }
        database.persist_wal();
    }
    for (const Setting& setting : kSettings) {
        if (auto done = apply(database, setting); !done) return Unexpected(done.error());
    }
    if (auto done = bring_up_to_date(database, *format); !done) return Unexpected(done.error());
    return opened;
}

}  // namespace postrider::queue
