// Content beyond its first pieces, in a file of its own beside the database: the database writes
// what it is given twice, into its log and into itself, and page by page.
#pragma once

#include <cstdint>
#include <filesystem>
#include <list>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>

#include "core/result.h"

struct sqlite3_vfs;

namespace postrider::queue {

class VfsFile;

/// The files, by number of the message. A piece lies at its index times Inbox::kPieceSize; where
/// the first pieces would be, which the database has, there is a hole.
///
/// A file is there only while a durable row of the database names it, so that none is forgotten:
///
///   row in `receiving` --> write()* --> sync() --> row in `message` --> row in `garbage` -->
///   remove()
class ContentFiles {
public:
    /// Beside this database, through SQLite's file layer `vfs`.
    ContentFiles(std::filesystem::path database, const std::string& vfs);
    ~ContentFiles();

    /// Writes a piece, nothing durable yet. The file stays open until close(): only an open file is
    /// told of every write that failed.
    Result<void> write(std::uint64_t number, std::uint32_t piece, std::string_view bytes);
    bool is_open(std::uint64_t number) const { return open_.contains(number); }
    /// Makes durable what was written, and the file's name. After any error of a file each further
    /// call for it fails: the kernel would take for written what is lost.
    Result<void> sync(std::uint64_t number);
    void close(std::uint64_t number);

    /// A piece; empty past the end, or without a file. The file stays open until its last piece has
    /// been read, kReadingMax others have, or it is removed.
    Result<std::string> read(std::uint64_t number, std::uint32_t piece);
    static constexpr std::size_t kReadingMax = 16;
    /// Closes what is open for reading.
    void rest();
    /// Whether there was one. Not durable before the directory is synced.
    Result<bool> remove(std::uint64_t number);

private:
    struct Open {
        std::filesystem::path path;  ///< SQLite's file layer points to it while the file is open.
        std::unique_ptr<VfsFile> file;
        std::optional<Error> failed;
    };
    struct Reading {
        std::uint64_t number;
        std::filesystem::path path;  ///< As above.
        std::unique_ptr<VfsFile> file;
    };
    std::filesystem::path path_of(std::uint64_t number) const;
    Result<VfsFile*> open_to_read(std::uint64_t number);
    void stop_reading(std::uint64_t number);
    Result<void> create(std::uint64_t number, Open& open);
    static Result<void> outcome(Open& open, Result<void> done);

    const std::filesystem::path database_;
    sqlite3_vfs* const vfs_;
    std::unordered_map<std::uint64_t, Open> open_;  ///< One for each message being received.
    std::list<Reading> reading_;  ///< The last one used is the first. At most kReadingMax.
};

}  // namespace postrider::queue
