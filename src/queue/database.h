// SQLite as this module uses it: one connection, statements prepared once, errors as values.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>

#include "core/result.h"

struct sqlite3;
struct sqlite3_stmt;

namespace postrider::queue {

class Database;
class GatheringVfs;

/// One use of a prepared statement; gives it back when it goes out of scope. Errors of preparing
/// and binding are kept and told by step().
class Statement {
public:
    Statement(Statement&&) noexcept;
    ~Statement();

    /// True if there is a row to read, false at the end.
    Result<bool> step();
    /// Steps to the end; how many rows it changed.
    Result<std::int64_t> run();

    std::int64_t integer(int column) const;
    std::string text(int column) const;
    bool is_null(int column) const;

private:
    friend class Database;
    Statement(Database& database, sqlite3_stmt* statement, int code)
        : database_(&database), statement_(statement), code_(code) {}
    void bind(int index, std::int64_t value);
    void bind(int index, std::string_view value);  ///< As text. Must outlive the statement's use.
    void bind_blob(int index, std::string_view value);

    Database* database_;
    sqlite3_stmt* statement_;
    int code_;
};

/// A parameter to be bound as a blob.
struct Blob {
    std::string_view bytes;
};

class Database {
public:
    struct Options {
        std::string path;
        std::string vfs;  ///< Empty for the default one.
        /// Nobody else may open the database, not even to read. What is shared with readers lies in
        /// a mapped file, and a page of that which finds no room on the disk is a SIGBUS.
        bool exclusive = false;
    };
    /// Opens for reading and writing, creating the file if absent. Nothing is read or changed yet.
    /// Before anything else of SQLite is called: it counts its memory under a lock, for figures
    /// that nobody here asks for.
    static void prepare_library();
    static Result<std::unique_ptr<Database>> open(const Options&);
    /// Closes without a checkpoint and keeps the log file (R8).
    ~Database();
    Database(const Database&) = delete;
    Database& operator=(const Database&) = delete;

    /// Runs fixed text, any number of statements, once; nothing from outside ever becomes part of
    /// it (R11).
    Result<void> execute(const char* sql);
    /// Runs one statement that is kept prepared.
    Result<void> perform(const char* sql);
    /// The first column of the first row, as text.
    Result<std::string> query_text(const char* sql);
    Result<std::int64_t> query_integer(const char* sql);

    /// `sql` is a literal: its address is the key under which the statement is kept.
    template <typename... Values>
    Statement statement(const char* sql, const Values&... values) {
        Statement made = prepared(sql);
        int index = 0;
        (bind(made, ++index, values), ...);
        return made;
    }

    /// Keeps the log file when the connection is closed (R8).
    void persist_wal();
    /// Copies what it can from the log into the database. How many frames remain to be copied.
    Result<int> checkpoint();
    /// Frames in the log as of the last commit; starts again at 0 after a full checkpoint.
    int wal_frames() const { return wal_frames_; }
    /// Gives every page of the database its place on the disk now, those that are still in the log
    /// only included, and some more, so that no checkpoint has to grow the file when there is no
    /// room any more (R6). DiskFull if there is none.
    Result<void> allocate();
    /// Gives back memory that can be read again from the files.
    void release_memory();
    /// Rows changed since the connection was opened.
    std::int64_t total_changes() const;
    /// False once an error has undone the whole transaction by itself.
    bool in_transaction() const;
    /// Steps of SQLite's machine that the statements have taken so far: what a call costs, whatever
    /// the machine it runs on.
    std::int64_t steps() const;

    Error error(int code) const;

private:
    friend class Statement;
    explicit Database(const Options&);
    Statement prepared(const char* sql);
    static void bind(Statement& s, int i, std::int64_t v) { s.bind(i, v); }
    static void bind(Statement& s, int i, std::string_view v) { s.bind(i, v); }
    static void bind(Statement& s, int i, const Blob& v) { s.bind_blob(i, v.bytes); }

    std::string path_;
    std::unique_ptr<GatheringVfs> files_;  ///< Outlives the connection.
    sqlite3* connection_ = nullptr;
    std::unordered_map<const char*, sqlite3_stmt*> statements_;
    int wal_frames_ = 0;
    std::int64_t allocated_ = 0;  ///< Pages.
};

}  // namespace postrider::queue
