#include "message/mime_structure.h"

#include <optional>
#include <utility>

#include "core/ascii.h"

namespace postrider::message {
namespace {

// RFC 2045 5.1.
constexpr std::string_view kSpecials = "()<>@,;:\\\"/[]?=";

struct Token {
    char special = 0;  ///< 0 for a word.
    std::string text;
};

/// Reads the tokens of a structured field (RFC 2045), comments left out.
class Tokens {
public:
    explicit Tokens(std::string_view text) : text_(text) {}

    std::optional<Token> next() {
        skip_white_space_and_comments();
        if (text_.empty()) return std::nullopt;
        const char c = text_.front();
        if (c == '"') return Token{0, quoted()};
        if (kSpecials.find(c) != std::string_view::npos) {
            text_.remove_prefix(1);
            return Token{c, {}};
        }
        std::size_t length = 0;
        while (length < text_.size() && !is_ascii_space(text_[length]) &&
               kSpecials.find(text_[length]) == std::string_view::npos) {
            ++length;
        }
        Token word{0, std::string(text_.substr(0, length))};
        text_.remove_prefix(length);
        return word;
    }

private:
    void skip_white_space_and_comments() {
        int depth = 0;
        while (!text_.empty()) {
            const char c = text_.front();
            if (c == '(') {
                ++depth;
            } else if (c == ')' && depth > 0) {
                --depth;
            } else if (c == '\\' && depth > 0 && text_.size() > 1) {
                text_.remove_prefix(1);
            } else if (depth == 0 && !is_ascii_space(c)) {
                return;
            }
            text_.remove_prefix(1);
        }
    }

    std::string quoted() {
        std::string value;
        text_.remove_prefix(1);
        while (!text_.empty() && text_.front() != '"') {
            if (text_.front() == '\\' && text_.size() > 1) text_.remove_prefix(1);
            if (text_.front() != '\n') value += text_.front();
            text_.remove_prefix(1);
        }
        if (!text_.empty()) text_.remove_prefix(1);
        return value;
    }

    std::string_view text_;
};

bool is_word(const std::optional<Token>& token, std::string_view word) {
    return token && token->special == 0 && equals_ignoring_case(token->text, word);
}

bool is_special(const std::optional<Token>& token, char c) {
    return token && token->special == c;
}

}  // namespace

void MimeStructure::content_type(std::string_view value) {
    Tokens tokens(value);
    const auto major = tokens.next();
    type_ = Type::Leaf;
    auto token = tokens.next();
    std::optional<Token> minor;
    if (is_special(token, '/')) {
        minor = tokens.next();
        token = tokens.next();
    }
    if (is_word(major, "message")) {
        if (is_word(minor, "rfc822") || is_word(minor, "global")) type_ = Type::Message;
        return;
    }
    if (!is_word(major, "multipart")) return;
    type_ = Type::Multipart;
    const Type inside = is_word(minor, "digest") ? Type::Message : Type::Leaf;

    // More than one boundary is against the rules and a way to hide a part: all of them count.
    for (; token; token = tokens.next()) {
        if (!is_special(token, ';')) continue;
        if (!is_word(tokens.next(), "boundary")) continue;
        if (!is_special(tokens.next(), '=')) continue;
        auto text = tokens.next();
        if (!text || text->special != 0) continue;
        if (open_.size() > nesting_limit_) {
            too_deep_ = true;
            return;
        }
        open_.push_back(Boundary{text->text.substr(0, boundary_limit_), inside});
    }
}

void MimeStructure::headers_end(bool by_empty_line) {
    if (by_empty_line && type_ == Type::Message) {
        enter(Block::Nested, Type::Leaf);
    } else {
        enter(Block::Body, type_);
    }
}

// Whatever follows the boundary on its line is ignored: some programs put something there, and our
// copy of a very long boundary was cut.
bool MimeStructure::boundary_line(std::string_view text) {
    text.remove_prefix(2);
    for (std::size_t i = open_.size(); i-- > 0;) {
        const std::string& boundary = open_[i].text;
        if (text.substr(0, boundary.size()) != boundary) continue;
        open_.resize(i + 1);
        if (text.substr(boundary.size(), 2) == "--") {
            open_.pop_back();
            enter(Block::Body, Type::Leaf);
        } else {
            enter(Block::Multipart, open_.back().default_type);
        }
        return true;
    }
    return false;
}

void MimeStructure::enter(Block block, Type type) {
    block_ = block;
    type_ = type;
}

std::string first_word(std::string_view value) {
    auto token = Tokens(value).next();
    return token ? std::move(token->text) : std::string();
}

}  // namespace postrider::message
