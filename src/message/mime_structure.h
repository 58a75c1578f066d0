// Where in a MIME message we are, seen from outside: headers of parts, bodies, boundaries.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace postrider::message {

/// Follows the structure of a message without decoding anything. Told of each Content-Type field,
/// each end of a header block and each body line, in order; knows which block comes next.
///
///   Primary --headers_end()--> Body <--headers_end()-- Multipart, Nested
///                               | ^ body_line("--boundary") --> Multipart
///                               +-- an empty line behind the headers of message/rfc822 --> Nested
///
/// Memory: at most `nesting_limit` boundaries of `boundary_limit` bytes.
class MimeStructure {
public:
    enum class Block : std::uint8_t { Primary, Multipart, Nested, Body };

    MimeStructure(std::size_t nesting_limit, std::size_t boundary_limit)
        : nesting_limit_(nesting_limit), boundary_limit_(boundary_limit) {}

    Block block() const { return block_; }
    bool is_in_headers() const { return block_ != Block::Body; }
    /// Of the entity whose header block we are in: its body is made of parts or is a message.
    bool is_container() const { return type_ != Type::Leaf; }
    /// A part was nested deeper than the limit; it is taken for a plain body.
    bool is_too_deep() const { return too_deep_; }

    /// The value of a Content-Type field in the current block.
    void content_type(std::string_view value);
    /// The header block ended, by an empty line or by one that is no header.
    void headers_end(bool by_empty_line);
    /// The start of a body line; true if it was a boundary.
    bool body_line(std::string_view text) {
        return !open_.empty() && text.size() > 2 && text[0] == '-' && text[1] == '-' &&
               boundary_line(text);
    }

private:
    enum class Type : std::uint8_t { Leaf, Multipart, Message };
    struct Boundary {
        std::string text;
        Type default_type;
    };

    bool boundary_line(std::string_view text);
    void enter(Block block, Type type);

    std::size_t nesting_limit_;
    std::size_t boundary_limit_;
    Block block_ = Block::Primary;
    Type type_ = Type::Leaf;
    std::vector<Boundary> open_;
    bool too_deep_ = false;
};

/// The first word of a structured field's value, comments left out: the encoding in
/// `Content-Transfer-Encoding: (plain) 8bit`. Empty if there is none.
std::string first_word(std::string_view value);

}  // namespace postrider::message
