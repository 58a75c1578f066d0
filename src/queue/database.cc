#include "queue/database.h"

#include <cerrno>
#include <mutex>

#include <malloc.h>

#include <sqlite3.h>

#include "queue/gathering_vfs.h"

namespace postrider::queue {
namespace {

ErrorCode code_of(int sqlite_code, int system_errno) {
    switch (sqlite_code & 0xff) {
        case SQLITE_FULL:
            return ErrorCode::DiskFull;
        case SQLITE_IOERR:
            // SQLite knows only ENOSPC as "full"; a quota and a file size limit are the same to us.
            return system_errno == EDQUOT || system_errno == EFBIG || system_errno == ENOSPC
                       ? ErrorCode::DiskFull
                       : ErrorCode::Io;
        case SQLITE_CORRUPT:
        case SQLITE_NOTADB:
        case SQLITE_MISMATCH:
            return ErrorCode::Corrupt;
        case SQLITE_BUSY:
        case SQLITE_LOCKED:
            return ErrorCode::Unavailable;
        case SQLITE_NOMEM:
        case SQLITE_TOOBIG:
            return ErrorCode::Limit;
        case SQLITE_PERM:
        case SQLITE_READONLY:
        case SQLITE_CANTOPEN:
        case SQLITE_AUTH:
            return ErrorCode::Denied;
        case SQLITE_CONSTRAINT:
            return ErrorCode::Invalid;
        default:
            return ErrorCode::Io;
    }
}

/// The database file grows by so much at once.
constexpr int kChunk = 1024 * 1024;
/// Pages allocated ahead: what recording outcomes may need when nothing else can be had.
constexpr std::int64_t kPagesAhead = 64;
constexpr std::int64_t kPageSize = 4096;

/// Why the last call failed. SQLite 3.40 itself does not keep what the system said to a COMMIT, but
/// its files do, the log first: commits write nothing else.
int system_errno(sqlite3* connection) {
    int number = 0;
    sqlite3_file* log = nullptr;
    sqlite3_file_control(connection, "main", SQLITE_FCNTL_JOURNAL_POINTER, &log);
    // A journal in memory cannot be asked.
    if (log != nullptr && log->pMethods != nullptr && log->pMethods->xFileControl != nullptr) {
        (void)log->pMethods->xFileControl(log, SQLITE_FCNTL_LAST_ERRNO, &number);
    }
    if (number == 0) sqlite3_file_control(connection, "main", SQLITE_FCNTL_LAST_ERRNO, &number);
    return number != 0 ? number : sqlite3_system_errno(connection);
}

int remember_frames(void* frames, sqlite3*, const char*, int count) {
    *static_cast<int*>(frames) = count;
    return SQLITE_OK;
}

}  // namespace

Statement::Statement(Statement&& other) noexcept
    : database_(other.database_),
      statement_(std::exchange(other.statement_, nullptr)),
      code_(other.code_) {}

Statement::~Statement() {
    if (statement_ == nullptr) return;
    sqlite3_reset(statement_);
    sqlite3_clear_bindings(statement_);
}

Result<bool> Statement::step() {
    if (code_ == SQLITE_OK) {
        const int code = sqlite3_step(statement_);
        if (code == SQLITE_ROW) return true;
        if (code == SQLITE_DONE) return false;
        code_ = code;
    }
    return Unexpected(database_->error(code_));
}

Result<std::int64_t> Statement::run() {
    for (;;) {
        const Result<bool> row = step();
        if (!row) return Unexpected(row.error());
        if (!*row) break;
    }
    return static_cast<std::int64_t>(sqlite3_changes64(database_->connection_));
}

std::int64_t Statement::integer(int column) const {
    return sqlite3_column_int64(statement_, column);
}

std::string Statement::text(int column) const {
    const auto* bytes = static_cast<const char*>(sqlite3_column_blob(statement_, column));
    const int size = sqlite3_column_bytes(statement_, column);
    return bytes == nullptr ? std::string() : std::string(bytes, static_cast<std::size_t>(size));
}

bool Statement::is_null(int column) const {
    return sqlite3_column_type(statement_, column) == SQLITE_NULL;
}

void Statement::bind(int index, std::int64_t value) {
    if (code_ == SQLITE_OK) code_ = sqlite3_bind_int64(statement_, index, value);
}

void Statement::bind(int index, std::string_view value) {
    // An empty view may have no address, which SQLite would read as NULL.
    const char* bytes = value.empty() ? "" : value.data();
    if (code_ == SQLITE_OK) {
        code_ =
            sqlite3_bind_text64(statement_, index, bytes, value.size(), SQLITE_STATIC, SQLITE_UTF8);
    }
}

void Statement::bind_blob(int index, std::string_view value) {
    const char* bytes = value.empty() ? "" : value.data();
    if (code_ == SQLITE_OK) {
        code_ = sqlite3_bind_blob64(statement_, index, bytes, value.size(), SQLITE_STATIC);
    }
}

void Database::prepare_library() {
    static std::once_flag once;
    std::call_once(once, [] { (void)sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0); });
}

Database::Database(const Options& options)
    : path_(options.path), files_(std::make_unique<GatheringVfs>(options.vfs)) {}

Result<std::unique_ptr<Database>> Database::open(const Options& options) {
    auto database = std::unique_ptr<Database>(new Database(options));
    const int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX |
                      SQLITE_OPEN_PRIVATECACHE | SQLITE_OPEN_EXRESCODE;
    const int code = sqlite3_open_v2(options.path.c_str(), &database->connection_, flags,
                                     database->files_->name());
    if (code != SQLITE_OK) return Unexpected(database->error(code));
    sqlite3* connection = database->connection_;
    sqlite3_db_config(connection, SQLITE_DBCONFIG_ENABLE_LOAD_EXTENSION, 0, nullptr);
    sqlite3_db_config(connection, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, nullptr);
    sqlite3_db_config(connection, SQLITE_DBCONFIG_DEFENSIVE, 1, nullptr);
    sqlite3_db_config(connection, SQLITE_DBCONFIG_DQS_DML, 0, nullptr);
    sqlite3_db_config(connection, SQLITE_DBCONFIG_DQS_DDL, 0, nullptr);
    // After a failed commit a checkpoint on close would make permanent what nobody knows.
    sqlite3_db_config(connection, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, nullptr);
    sqlite3_busy_timeout(connection, 5000);
    // This takes the place of SQLite's own checkpoints; PRAGMA wal_autocheckpoint would take it
    // back.
    sqlite3_wal_hook(connection, remember_frames, &database->wal_frames_);
    return database;
}

Database::~Database() {
    for (const auto& [sql, statement] : statements_) sqlite3_finalize(statement);
    sqlite3_close_v2(connection_);
}

Result<void> Database::execute(const char* sql) {
    const int code = sqlite3_exec(connection_, sql, nullptr, nullptr, nullptr);
    if (code != SQLITE_OK) return Unexpected(error(code));
    return {};
}

Result<void> Database::perform(const char* sql) {
    const auto done = statement(sql).run();
    if (!done) return Unexpected(done.error());
    return {};
}

Result<std::string> Database::query_text(const char* sql) {
    Statement query = statement(sql);
    const Result<bool> row = query.step();
    if (!row) return Unexpected(row.error());
    return *row ? query.text(0) : std::string();
}

Result<std::int64_t> Database::query_integer(const char* sql) {
    Statement query = statement(sql);
    const Result<bool> row = query.step();
    if (!row) return Unexpected(row.error());
    return *row ? query.integer(0) : 0;
}

void Database::persist_wal() {
    int on = 1;
    sqlite3_file_control(connection_, "main", SQLITE_FCNTL_PERSIST_WAL, &on);
}

Result<int> Database::checkpoint() {
    int in_log = 0;
    int copied = 0;
    const int code =
        sqlite3_wal_checkpoint_v2(connection_, "main", SQLITE_CHECKPOINT_PASSIVE, &in_log, &copied);
    if (code != SQLITE_OK) return Unexpected(error(code));
    // With everything copied the next commit starts the log anew, and the file may have been cut.
    if (in_log == copied) wal_frames_ = 0;
    allocated_ = 0;
    return in_log - copied;
}

Result<void> Database::allocate() {
    const auto pages = query_integer("PRAGMA page_count");
    if (!pages) return Unexpected(pages.error());
    const std::int64_t wanted = *pages + kPagesAhead;
    if (wanted <= allocated_) return {};
    int chunk = kChunk;
    sqlite3_file_control(connection_, "main", SQLITE_FCNTL_CHUNK_SIZE, &chunk);
    sqlite3_int64 bytes = wanted * kPageSize;
    const int code = sqlite3_file_control(connection_, "main", SQLITE_FCNTL_SIZE_HINT, &bytes);
    if (code != SQLITE_OK) {
        return Unexpected(ErrorCode::DiskFull, path_ + ": no room to grow by " +
                                                   std::to_string(kChunk / 1024) +
                                                   " KB: " + sqlite3_errstr(code));
    }
    allocated_ = (bytes + kChunk - 1) / kChunk * (kChunk / kPageSize);
    return {};
}

void Database::release_memory() {
    sqlite3_db_release_memory(connection_);
    ::malloc_trim(0);
}

std::int64_t Database::total_changes() const {
    return sqlite3_total_changes64(connection_);
}

bool Database::in_transaction() const {
    return sqlite3_get_autocommit(connection_) == 0;
}

std::int64_t Database::steps() const {
    std::int64_t all = 0;
    for (const auto& [sql, statement] : statements_) {
        all += sqlite3_stmt_status(statement, SQLITE_STMTSTATUS_VM_STEP, 0);
    }
    return all;
}

Error Database::error(int code) const {
    std::string text = path_ + ": ";
    // The connection's own words are more exact, as long as they are about this error.
    if (connection_ != nullptr && sqlite3_extended_errcode(connection_) == code) {
        text += sqlite3_errmsg(connection_);
    } else {
        text += sqlite3_errstr(code);
    }
    int number = 0;
    if ((code & 0xff) == SQLITE_IOERR || (code & 0xff) == SQLITE_CANTOPEN) {
        if (connection_ != nullptr) number = system_errno(connection_);
        if (number != 0) return {code_of(code, number), system_error(text, number).message};
        text += " (" + std::to_string(code) + ")";
    }
    return {code_of(code, number), std::move(text)};
}

Statement Database::prepared(const char* sql) {
    sqlite3_stmt*& kept = statements_[sql];
    if (kept != nullptr) return Statement(*this, kept, SQLITE_OK);
    const int code =
        sqlite3_prepare_v3(connection_, sql, -1, SQLITE_PREPARE_PERSISTENT, &kept, nullptr);
    return Statement(*this, kept, code);
}

}  // namespace postrider::queue
