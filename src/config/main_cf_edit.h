// Changes to main.cf that leave the rest of the file as it is.
#pragma once

#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "config/main_cf.h"
#include "core/result.h"

namespace postrider::config {

enum class Edit {
    Set,         ///< Give each name its value, in its place or at the end of the file.
    Remove,      ///< Take the names' entries out.
    CommentOut,  ///< Put `#` in front of each line of the names' entries.
};

struct EditedText {
    std::string text;
    std::vector<std::string> warnings;  ///< `FILE: multiple entries for "NAME"`
};

/// `text` with `entries` (whose values only Edit::Set reads) changed. Comments inside an entry that
/// is replaced or removed stay.
EditedText edit_main_cf(std::string_view text, Edit, std::span<const Entry> entries,
                        const std::filesystem::path& file);

/// Reads `file`, changes it and puts the result in its place, in one step: a reader sees all of the
/// old or all of the new, a power cut included. Mode and owner stay, and a symbolic link stays a
/// link. Two editors never overwrite each other's changes: the second is told to come again.
/// Returns the warnings.
Result<std::vector<std::string>> edit_main_cf_file(const std::filesystem::path& file, Edit,
                                                   std::span<const Entry> entries);

}  // namespace postrider::config
