#include "message/downgrade.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "core/ascii.h"

namespace postrider::message {

namespace {

constexpr std::string_view kCrlf = "\r\n";
constexpr std::string_view kContentType = "Content-Type";
constexpr std::string_view kEncoding = "Content-Transfer-Encoding";
constexpr std::size_t kQuotedLineMax = 72;  // Then a soft break: Postfix breaks there, too.

/// The name of the field that `line` begins; nothing if it begins none.
std::optional<std::string_view> field_name(std::string_view line) {
    const auto colon = line.find(':');
    if (colon == std::string_view::npos) return std::nullopt;
    auto name = line.substr(0, colon);
    while (!name.empty() && (name.back() == ' ' || name.back() == '\t')) name.remove_suffix(1);
    const bool valid = !name.empty() && std::all_of(name.begin(), name.end(),
                                                    [](char c) { return c > ' ' && c < 0x7f; });
    return valid ? std::optional(name) : std::nullopt;
}

bool is_token_char(char c) {
    return c > ' ' && c < 0x7f &&
           std::string_view("()<>@,;:\\\"/[]?=").find(c) == std::string_view::npos;
}

/// Reads the words of a structured field value, past comments and folding.
class Words {
public:
    explicit Words(std::string_view text) : rest_(text) {}

    /// The next token or quoted string, its quotes removed; or one special character.
    std::string next() {
        skip_space_and_comments();
        if (rest_.empty()) return {};
        if (rest_.front() == '"') return quoted();
        std::size_t length = 0;
        while (length < rest_.size() && is_token_char(rest_[length])) ++length;
        length = std::max<std::size_t>(length, 1);
        std::string word(rest_.substr(0, length));
        rest_.remove_prefix(length);
        return word;
    }

    bool at_end() {
        skip_space_and_comments();
        return rest_.empty();
    }

private:
    void skip_space_and_comments() {
        int depth = 0;
        while (!rest_.empty()) {
            const char c = rest_.front();
            if (c == '\\' && depth > 0 && rest_.size() > 1)
                rest_.remove_prefix(1);
            else if (c == '(')
                ++depth;
            else if (c == ')' && depth > 0)
                --depth;
            else if (depth == 0 && !is_ascii_space(c))
                return;
            rest_.remove_prefix(1);
        }
    }

    std::string quoted() {
        std::string word;
        rest_.remove_prefix(1);
        while (!rest_.empty() && rest_.front() != '"') {
            if (rest_.front() == '\\' && rest_.size() > 1) rest_.remove_prefix(1);
            if (rest_.front() != '\r' && rest_.front() != '\n') word += rest_.front();
            rest_.remove_prefix(1);
        }
        if (!rest_.empty()) rest_.remove_prefix(1);
        return word;
    }

    std::string_view rest_;
};

void append_quoted(char c, std::string& out) {
    static constexpr std::string_view kHexDigits = "0123456789ABCDEF";
    const auto byte = static_cast<unsigned char>(c);
    out += '=';
    out += kHexDigits[byte >> 4];
    out += kHexDigits[byte & 15];
}

}  // namespace

void EightBitDowngrade::write(std::string_view in, std::string& out) {
    while (!in.empty()) {
        const auto end = in.find('\n');
        const bool line_end = end != std::string_view::npos;
        auto part = in.substr(0, line_end ? end + 1 : in.size());
        // A piece is never cut between CR and LF: the CR waits in line_ for what follows it.
        const std::size_t room = kPieceMax + kCrlf.size() - line_.size();
        part = part.substr(0, room);
        line_ += part;
        in.remove_prefix(part.size());
        if (line_.ends_with('\n')) {
            std::string_view text = line_;
            text.remove_suffix(text.ends_with(kCrlf) ? 2 : 1);
            piece(text, line_start_, true, out);
            line_.clear();
            line_start_ = true;
        } else if (line_.size() == kPieceMax + kCrlf.size()) {
            piece(std::string_view(line_).substr(0, kPieceMax), line_start_, false, out);
            line_.erase(0, kPieceMax);
            line_start_ = false;
        }
    }
}

void EightBitDowngrade::finish(std::string& out) {
    if (!line_.empty() || !line_start_) piece(line_, line_start_, true, out);
    line_.clear();
    line_start_ = true;
    if (section_ == Section::Header) end_header_block(false, out);
}

void EightBitDowngrade::piece(std::string_view text, bool line_start, bool line_end,
                              std::string& out) {
    if (section_ == Section::Header)
        header_line(text, line_start, line_end, out);
    else
        body_line(text, line_start, line_end, out);
}

void EightBitDowngrade::header_line(std::string_view text, bool line_start, bool line_end,
                                    std::string& out) {
    const bool continues =
        !line_start || (in_field_ && !text.empty() && (text[0] == ' ' || text[0] == '\t'));
    if (!continues) {
        end_field(out);
        const auto name = field_name(text);
        if (!name) {
            end_header_block(text.empty(), out);
            // An empty line ends the block. Anything else is body already; before the first body
            // line of a message the missing empty line is supplied.
            if (!text.empty() && primary_) out += kCrlf;
            primary_ = false;
            if (text.empty())
                out += kCrlf;
            else
                body_line(text, line_start, line_end, out);
            return;
        }
        in_field_ = true;
        withheld_ = equals_ignoring_case(*name, kEncoding);
        captured_ = withheld_ || equals_ignoring_case(*name, kContentType);
    }
    if (withheld_ && field_.size() >= kFieldMax) {
        // No encoding has a name that long. Whatever it is, it stays.
        out += std::exchange(field_, {});
        captured_ = withheld_ = false;
    }
    if (captured_ && field_.size() < kFieldMax) field_.append(text).append(line_end ? kCrlf : "");
    if (!withheld_) out.append(text).append(line_end ? kCrlf : "");
}

/// A field is complete: learn from it, and write it if it was withheld and may stay.
void EightBitDowngrade::end_field(std::string& out) {
    if (captured_) {
        const auto colon = field_.find(':');
        const auto value = std::string_view(field_).substr(colon + 1);
        if (withheld_) {
            read_encoding(value);
            if (entity_.label == Label::SevenBit) out += field_;
        } else {
            read_content_type(value);
        }
    }
    field_.clear();
    in_field_ = captured_ = withheld_ = false;
}

void EightBitDowngrade::end_header_block(bool at_empty_line, std::string& out) {
    end_field(out);
    if (entity_.label == Label::EightBit) {
        out += kEncoding;
        out += entity_.type == Type::Leaf ? ": quoted-printable" : ": 7bit";
        out += kCrlf;
    }
    section_ = Section::Body;
    if (entity_.type == Type::Message && at_empty_line) section_ = Section::Header;
    // What surrounds the parts of a container, and a nested message, starts afresh.
    if (entity_.type != Type::Leaf) entity_ = Entity();
    column_ = 0;
    last_space_ = 0;
}

void EightBitDowngrade::read_content_type(std::string_view value) {
    Words words(value);
    const auto type = ascii_lowercase(words.next());
    const bool has_subtype = words.next() == "/";
    const auto subtype = has_subtype ? ascii_lowercase(words.next()) : std::string();
    entity_.type = Type::Leaf;
    if (type == "message" && subtype == "rfc822") entity_.type = Type::Message;
    if (type != "multipart") return;

    entity_.type = Type::Multipart;
    const Type default_type = subtype == "digest" ? Type::Message : Type::Leaf;
    while (!words.at_end()) {
        if (words.next() != ";") continue;
        const auto name = ascii_lowercase(words.next());
        if (name != "boundary" || words.next() != "=") continue;
        auto boundary = words.next().substr(0, kBoundaryMax);
        if (boundaries_.size() < kDepthMax && !boundary.empty())
            boundaries_.push_back(Boundary{std::move(boundary), default_type});
    }
}

void EightBitDowngrade::read_encoding(std::string_view value) {
    const auto encoding = ascii_lowercase(Words(value).next());
    entity_.label = encoding == "8bit" || encoding == "binary" ? Label::EightBit : Label::SevenBit;
}

/// Whether the line is a boundary; then the state is that of what follows it.
bool EightBitDowngrade::starts_part(std::string_view line) {
    if (boundaries_.empty() || !line.starts_with("--")) return false;
    line.remove_prefix(2);
    // The innermost first. An outer one ends all inner ones, whose own end is missing.
    for (std::size_t depth = boundaries_.size(); depth > 0; --depth) {
        const Boundary& boundary = boundaries_[depth - 1];
        if (!line.starts_with(boundary.text)) continue;
        const bool last = line.substr(boundary.text.size()).starts_with("--");
        entity_ = Entity();
        section_ = Section::Body;
        if (!last) {
            entity_.type = boundary.default_type;
            section_ = Section::Header;
        }
        boundaries_.resize(last ? depth - 1 : depth);
        return true;
    }
    return false;
}

void EightBitDowngrade::body_line(std::string_view text, bool line_start, bool line_end,
                                  std::string& out) {
    const bool quoting = entity_.label == Label::EightBit && entity_.type == Type::Leaf;
    if (line_start && starts_part(text)) {
        in_field_ = !line_end;  // The rest of an endless boundary line is swallowed as a field's.
        out.append(text).append(line_end ? kCrlf : "");
    } else if (quoting) {
        quote(text, line_end, out);
    } else {
        out.append(text).append(line_end ? kCrlf : "");
    }
}

/// RFC 2045 6.7. A line end stays one; it must not follow a space.
void EightBitDowngrade::quote(std::string_view text, bool line_end, std::string& out) {
    const auto flush_space = [&] {
        if (last_space_ != 0) out += std::exchange(last_space_, 0);
    };
    for (const char c : text) {
        flush_space();
        if (column_ > kQuotedLineMax) {
            out += "=\r\n";
            column_ = 0;
        }
        if (c == ' ' || c == '\t') {
            last_space_ = c;
            ++column_;
        } else if (c == '=' || is_ascii_control(c) || !is_ascii(c)) {
            append_quoted(c, out);
            column_ += 3;
        } else {
            out += c;
            ++column_;
        }
    }
    if (!line_end) return;
    if (last_space_ != 0) append_quoted(std::exchange(last_space_, 0), out);
    out += kCrlf;
    column_ = 0;
}

}  // namespace postrider::message
