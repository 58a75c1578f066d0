// Whether the write-ahead log still has what was synced to it. SQLite reads it as far as it is
// whole and takes the rest for what a power cut left: nobody would hear of a log that was cut or
// zeroed.
#pragma once

#include <filesystem>
#include <string>

#include "core/result.h"

namespace postrider::queue {

/// Empty, or what is wrong with the log of a store in use, for people. After a power cut at most
/// one transaction is there in part, the last. So a log without a beginning has been damaged, and
/// so has one in which a transaction follows another behind a place that cannot be read: the first
/// of them was synced, and all before it. A log that merely ends too early looks whole; that is for
/// the Witness to notice. Reads the whole log, through SQLite's file layer `vfs`; call before
/// anything is written to it.
Result<std::string> find_log_damage(const std::filesystem::path& log, const std::string& vfs);

}  // namespace postrider::queue
