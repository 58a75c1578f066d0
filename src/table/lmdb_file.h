// What reading and writing an index share of LMDB.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include <lmdb.h>

#include "core/result.h"

namespace postrider::table {

inline constexpr std::string_view kIndexSuffix = ".lmdb";

struct CloseEnvironment {
    void operator()(MDB_env* environment) const { mdb_env_close(environment); }
};
using Environment = std::unique_ptr<MDB_env, CloseEnvironment>;

struct AbortTransaction {
    void operator()(MDB_txn* transaction) const { mdb_txn_abort(transaction); }
};
using Transaction = std::unique_ptr<MDB_txn, AbortTransaction>;

inline MDB_val lmdb_value(std::string_view text) {
    return {text.size(), const_cast<char*>(text.data())};
}
inline std::string_view text_of(const MDB_val& value) {
    return {static_cast<const char*>(value.mv_data), value.mv_size};
}

/// `attempt: what LMDB or the system answered`.
Error lmdb_error(const std::string& attempt, int outcome);

/// Opened for reading, its pages all there; and the one transaction to read it in, which keeps
/// what was there when it was opened.
struct IndexReader {
    Environment environment;
    Transaction transaction;
    MDB_dbi entries = 0;
    int fd = -1;  ///< The environment's own.

    static Result<IndexReader> open(const std::string& path);
};

}  // namespace postrider::table
