// How a process gets at tables that it may not read itself.
#pragma once

#include <functional>
#include <string>

#include "core/result.h"
#include "core/unique_fd.h"

namespace postrider::table {

/// Opens a file for reading on this process's behalf.
using Opener = std::function<Result<UniqueFd>(const std::string& path)>;

/// For the whole process, like the account that it runs under; to be called before the first table
/// is opened. Sources that this account may not read are opened by `opener` from then on; of
/// hash:, btree: and lmdb: the text is used instead of the index.
void open_unreadable_sources_by(Opener opener);

/// Whether `path` is there, unreadable for this account, and somebody else could open it.
bool needs_opener(const std::string& path);

}  // namespace postrider::table
