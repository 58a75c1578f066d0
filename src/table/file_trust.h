// Who else could have written, or can read, the file that a secret is in.
#pragma once

#include <string>
#include <vector>

#include "core/result.h"
#include "core/unique_fd.h"
#include "table/table.h"

namespace postrider::table {

/// Opens `path` for reading; the error reads `open PATH: reason`, after `verb` if it has one.
Result<UniqueFd> open_source(const std::string& path, const OpenOptions&);

/// Whether `path` is there, unreadable for this account, and its opener could open it.
bool needs_opener(const std::string& path, const OpenOptions&);

/// For a table opened as a secret: refuses `path`, which is open as `fd`, when others than root, us
/// and the trusted owner own it, can write it or can replace it; returns the concern that others
/// can read it. Nothing to say about any other table. Each text has the command that mends.
Result<std::vector<std::string>> check_trust(const std::string& path, int fd, const OpenOptions&);

/// Whether files may be made in the directory of `path` without help from whoever else could put
/// something in their place: root's or ours, and nobody else can write there.
bool is_own_directory(const std::string& path, const OpenOptions&);

/// `a` for `a/b`, `.` for `b`, `/` for `/b`.
std::string parent_directory(const std::string& path);

}  // namespace postrider::table
