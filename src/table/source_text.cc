#include "table/source_text.h"

#include <cerrno>

#include <unistd.h>

#include "core/ascii.h"
#include "table/list_syntax.h"

namespace postrider::table {
namespace {

constexpr std::size_t kBlockSize = 64 * 1024;
/// One logical line is a value that must fit in memory several times over.
constexpr std::size_t kLogicalLineSizeMax = 64 * 1024 * 1024;

/// Nothing but white space, or a comment.
bool says_nothing(std::string_view line) {
    const std::string_view text = trimmed(line);
    return text.empty() || text.front() == '#';
}

/// Where the name of an alias ends: the first colon outside quotes, comments and literals.
/// Comments are taken out of `name`.
std::optional<std::size_t> find_alias_colon(std::string_view line, std::string& name) {
    bool quoted = false;
    int comment = 0;
    for (std::size_t i = 0; i < line.size(); ++i) {
        const char c = line[i];
        if (c == '\\' && i + 1 < line.size()) {
            if (comment == 0) name.append(line.substr(i, 2));
            ++i;
            continue;
        }
        if (c == '"' && comment == 0) quoted = !quoted;
        if (!quoted && c == '(') ++comment;
        if (!quoted && comment == 0 && c == ':') return i;
        if (comment == 0) name.push_back(c);
        if (!quoted && c == ')' && comment > 0) --comment;
    }
    return std::nullopt;
}

/// Whether one of `characters` stands in `name` outside quotes.
bool has_bare(std::string_view name, std::string_view characters) {
    bool quoted = false;
    for (std::size_t i = 0; i < name.size(); ++i) {
        if (name[i] == '\\') {
            ++i;
        } else if (name[i] == '"') {
            quoted = !quoted;
        } else if (!quoted && characters.find(name[i]) != std::string_view::npos) {
            return true;
        }
    }
    return false;
}

bool is_dot_atom(std::string_view text) {
    if (text.empty() || text.front() == '.' || text.back() == '.') return false;
    for (const char c : text) {
        const bool special = std::string_view("()<>[]:;@\\,\"").find(c) != std::string_view::npos;
        if (special || is_ascii_space(c) || is_ascii_control(c)) return false;
    }
    return true;
}

/// `"root"` is the same name as `root`; `"a b"` needs its quotes.
std::string without_needless_quotes(std::string_view name) {
    if (name.size() < 2 || name.front() != '"' || name.back() != '"') return std::string(name);
    const std::string_view inside = name.substr(1, name.size() - 2);
    return std::string(is_dot_atom(inside) ? inside : name);
}

}  // namespace

std::string at_line(std::string_view file, int number, std::string_view text) {
    std::string result(file);
    result.append(", line ").append(std::to_string(number)).append(": ").append(text);
    return result;
}

Result<bool> LogicalLines::fill() {
    if (fd_ < 0) return false;
    block_.resize(kBlockSize);
    at_ = 0;
    ssize_t got = 0;
    do {
        got = ::read(fd_, block_.data(), block_.size());
    } while (got < 0 && errno == EINTR);
    block_.resize(got > 0 ? static_cast<std::size_t>(got) : 0);
    if (got < 0) return Unexpected(system_error("read " + name_, errno));
    return got > 0;
}

Result<int> LogicalLines::peek() {
    if (at_ == block_.size()) {
        const auto more = fill();
        if (!more) return Unexpected(more.error());
        if (!*more) return -1;
    }
    return static_cast<unsigned char>(block_[at_]);
}

/// False at the end of the text. The line comes without its line end.
Result<bool> LogicalLines::read_physical(std::string& line) {
    const auto first = peek();
    if (!first) return Unexpected(first.error());
    if (*first < 0) return false;
    number_ += 1;
    for (;;) {
        const auto next = peek();
        if (!next) return Unexpected(next.error());
        if (*next < 0) break;
        const std::size_t end = block_.find('\n', at_);
        const std::size_t length = (end == std::string::npos ? block_.size() : end) - at_;
        if (line.size() + length > kLogicalLineSizeMax)
            return Unexpected(ErrorCode::Limit, at_line(name_, number_, "the line is too long"));
        line.append(block_, at_, length);
        at_ += length;
        if (end == std::string::npos) continue;
        ++at_;
        break;
    }
    if (!line.empty() && line.back() == '\r') line.pop_back();
    return true;
}

Result<std::optional<LogicalLine>> LogicalLines::read_logical() {
    LogicalLine line;
    std::string physical;
    for (;;) {
        physical.clear();
        const auto more = read_physical(physical);
        if (!more) return Unexpected(more.error());
        if (!*more) break;
        if (!says_nothing(physical)) {
            if (line.text.empty()) line.number = number_;
            line.text += physical;
            if (line.text.size() > kLogicalLineSizeMax)
                return Unexpected(ErrorCode::Limit,
                                  at_line(name_, number_, "the line is too long"));
        }
        if (line.text.empty()) continue;
        const auto next = peek();
        if (!next) return Unexpected(next.error());
        if (*next < 0 || (*next != '#' && !is_ascii_space(static_cast<char>(*next)))) break;
    }
    if (line.text.empty()) return std::optional<LogicalLine>();
    return std::optional(std::move(line));
}

Result<std::optional<LogicalLine>> LogicalLines::next() {
    for (;;) {
        auto line = read_logical();
        if (!line || !*line) return line;
        std::string& text = (*line)->text;
        const std::size_t nul = text.find('\0');
        if (nul != std::string::npos) {
            const int first = (*line)->number;
            std::string where = name_ + ", line " + std::to_string(first);
            if (first != number_) where += "-" + std::to_string(number_);
            log_.warning(where + ": text after null byte may be ignored");
            text.resize(nul);
        }
        if (text.empty()) continue;
        if (!is_ascii_space(text.front())) return line;
        log_.warning(name_ + ": logical line must not start with whitespace: \"" +
                     text.substr(0, 30) + (text.size() > 30 ? "..." : "") + "\"");
    }
}

void Entries::warn(const LogicalLine& line, std::string_view text) const {
    log_.warning(at_line(lines_.name(), line.number, text));
}

std::optional<Entry> Entries::parse_map(const LogicalLine& line) const {
    const auto length = key_length(line.text);
    if (!length) {
        warn(line, "unbalanced '\"' in '" + line.text + "' -- ignoring this line");
        return std::nullopt;
    }
    Entry entry;
    entry.key = line.text.substr(0, *length);
    entry.value = trimmed(std::string_view(line.text).substr(*length));
    entry.number = line.number;
    if (entry.key.empty() || entry.value.empty()) {
        warn(line, "expected format: key whitespace value" + std::string(format_.afterthought));
        return std::nullopt;
    }
    if (entry.key.back() == ':')
        warn(line, "record is in \"key: value\" format; is this an alias file?");
    return entry;
}

std::optional<Entry> Entries::parse_alias(const LogicalLine& line) const {
    std::string raw_name;
    const auto colon = find_alias_colon(line.text, raw_name);
    const std::string_view name = trimmed(raw_name);
    const std::string_view value =
        colon ? trimmed(std::string_view(line.text).substr(*colon + 1)) : std::string_view();
    if (!colon || name.empty() || value.empty() || has_bare(name, ",")) {
        warn(line, "need name:value pair");
        return std::nullopt;
    }
    if (has_bare(name, "@%")) {
        warn(line, "name must be local and have no domain");
        return std::nullopt;
    }
    return Entry{without_needless_quotes(name), std::string(value), line.number};
}

std::optional<Entry> Entries::parse(const LogicalLine& line) const {
    if (format_.utf8 && !is_utf8(line.text)) {
        warn(line, "non-UTF-8 input \"" + line.text + "\" -- ignoring this line");
        return std::nullopt;
    }
    return format_.syntax == SourceSyntax::Aliases ? parse_alias(line) : parse_map(line);
}

Result<std::optional<Entry>> Entries::next() {
    for (;;) {
        const auto line = lines_.next();
        if (!line) return Unexpected(line.error());
        if (!*line) return std::optional<Entry>();
        if (auto entry = parse(**line)) return entry;
    }
}

}  // namespace postrider::table
