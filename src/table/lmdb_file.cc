#include "table/lmdb_file.h"

#include <cerrno>

#include <sys/stat.h>

namespace postrider::table {
namespace {

/// A file that ends before its last page would be a bus error at some later lookup.
Result<void> check_whole(MDB_env* environment, int fd, const std::string& path) {
    MDB_envinfo info{};
    MDB_stat layout{};
    struct stat status {};
    mdb_env_info(environment, &info);
    mdb_env_stat(environment, &layout);
    if (::fstat(fd, &status) != 0) return Unexpected(system_error("stat " + path, errno));
    if ((info.me_last_pgno + 1) * layout.ms_psize > static_cast<std::size_t>(status.st_size))
        return Unexpected(ErrorCode::Corrupt, "open database " + path + ": the file is truncated");
    return {};
}

}  // namespace

Error lmdb_error(const std::string& attempt, int outcome) {
    if (outcome > 0) return system_error(attempt, outcome);
    return Error{ErrorCode::Corrupt, attempt + ": " + mdb_strerror(outcome)};
}

Result<IndexReader> IndexReader::open(const std::string& path) {
    const std::string attempt = "open database " + path;
    // LMDB takes an empty file for one that is not there.
    struct stat status {};
    if (::stat(path.c_str(), &status) != 0) return Unexpected(system_error(attempt, errno));
    if (!S_ISREG(status.st_mode) || status.st_size == 0)
        return Unexpected(ErrorCode::Corrupt, attempt + ": not an index");

    MDB_env* raw_environment = nullptr;
    if (const int outcome = mdb_env_create(&raw_environment); outcome != 0)
        return Unexpected(lmdb_error(attempt, outcome));
    IndexReader reader;
    reader.environment.reset(raw_environment);
    // Indexes are replaced, never written in place, so readers need no locks.
    constexpr unsigned kFlags = MDB_RDONLY | MDB_NOLOCK | MDB_NOSUBDIR | MDB_NOTLS;
    if (const int outcome = mdb_env_open(raw_environment, path.c_str(), kFlags, 0); outcome != 0)
        return Unexpected(lmdb_error(attempt, outcome));
    mdb_env_get_fd(raw_environment, &reader.fd);
    if (const auto whole = check_whole(raw_environment, reader.fd, path); !whole)
        return Unexpected(whole.error());

    MDB_txn* raw_transaction = nullptr;
    int outcome = mdb_txn_begin(raw_environment, nullptr, MDB_RDONLY, &raw_transaction);
    if (outcome != 0) return Unexpected(lmdb_error(attempt, outcome));
    reader.transaction.reset(raw_transaction);
    outcome = mdb_dbi_open(raw_transaction, nullptr, 0, &reader.entries);
    if (outcome != 0) return Unexpected(lmdb_error(attempt, outcome));
    return reader;
}

}  // namespace postrider::table
