// The file main.cf as entries in the order they stand there.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "core/result.h"

namespace postrider::config {

/// Largest main.cf that is read.
inline constexpr std::size_t kMainCfSizeMax = 4 << 20;

struct Entry {
    std::string name;
    std::string value;  ///< As written, without white space at either end; `$` not expanded.
    int line = 0;       ///< Where the entry begins.
};

struct MainCf {
    std::filesystem::path file;         ///< For messages.
    std::vector<Entry> entries;         ///< Each name once: the last definition counts.
    std::vector<std::string> warnings;  ///< `FILE, line N: overriding earlier entry: NAME=OLD`
};

/// Splits `text` into entries. A line that starts with white space continues the one before;
/// comments and empty lines may stand between. All malformed lines are reported in one error, one
/// line of its message for each: `FILE, line N: missing '=' after attribute name: "TEXT"`.
Result<MainCf> parse_main_cf(std::string_view text, const std::filesystem::path& file);

/// The whole file; at most kMainCfSizeMax bytes.
Result<std::string> read_text(const std::filesystem::path& file);

/// parse_main_cf() of a file.
Result<MainCf> read_main_cf(const std::filesystem::path& file);

/// `name = value` as the file and command lines write it. The error says what is missing.
Result<Entry> parse_name_value(std::string_view text);

}  // namespace postrider::config
