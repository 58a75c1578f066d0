// The text that tables are written in: logical lines, and the entries they hold.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include "core/log.h"
#include "core/result.h"
#include "table/table.h"

namespace postrider::table {

struct LogicalLine {
    std::string text;  ///< Without line ends, NULs and comments; starts with non-white.
    int number = 0;    ///< Of its first physical line.
};

/// Reads logical lines: a line that starts with white space continues the one before it and keeps
/// that white space; blank lines and lines whose first character is `#` are skipped, even between
/// a line and its continuation. A CR before the line end is white space and goes with it. Holds one
/// logical line and one block in memory.
class LogicalLines {
public:
    /// From a descriptor that the caller keeps open.
    LogicalLines(std::string name, int fd, const Log& log)
        : name_(std::move(name)), fd_(fd), log_(log) {}
    /// From text, one physical line each.
    LogicalLines(std::string name, std::string text, const Log& log)
        : name_(std::move(name)), log_(log), block_(std::move(text)) {}

    /// Nothing at the end.
    Result<std::optional<LogicalLine>> next();
    const std::string& name() const { return name_; }

private:
    Result<bool> fill();
    /// The next byte without taking it; -1 at the end.
    Result<int> peek();
    Result<bool> read_physical(std::string& line);
    Result<std::optional<LogicalLine>> read_logical();

    std::string name_;
    int fd_ = -1;
    Log log_;
    std::string block_;
    std::size_t at_ = 0;
    int number_ = 0;
};

/// One `key value` of a source. The key is not folded.
struct Entry {
    std::string key;
    std::string value;
    int number = 0;
};

struct EntryFormat {
    SourceSyntax syntax = SourceSyntax::Map;
    bool utf8 = true;
    /// What Postfix adds to "expected format" when it reads a texthash.
    std::string_view afterthought;
};

/// Reads entries; malformed lines are warned about and skipped. Map keys keep their quotes; the
/// name of an alias loses quotes that it does not need.
class Entries {
public:
    Entries(LogicalLines lines, EntryFormat format, const Log& log)
        : lines_(std::move(lines)), format_(format), log_(log) {}

    Result<std::optional<Entry>> next();

private:
    std::optional<Entry> parse(const LogicalLine&) const;
    std::optional<Entry> parse_map(const LogicalLine&) const;
    std::optional<Entry> parse_alias(const LogicalLine&) const;
    void warn(const LogicalLine&, std::string_view text) const;

    LogicalLines lines_;
    EntryFormat format_;
    Log log_;
};

/// `F, line N: text`.
std::string at_line(std::string_view file, int number, std::string_view text);

}  // namespace postrider::table
