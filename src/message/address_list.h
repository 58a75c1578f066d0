// Addresses in header fields and arguments, RFC 5322 3.4 with what mail programs make of it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "mail/address.h"

namespace postrider::message {

/// header_address_token_limit: what stands behind that many words is not read.
inline constexpr std::size_t kAddressTokenLimit = 10240;

/// The octets of an address beyond which it is not well-formed (RFC 5321 says 256; longer ones are
/// met).
inline constexpr std::size_t kAddressLengthMax = 998;

/// An address list as a sequence of words: phrases, comments, groups and the order of it all are
/// kept, so that a field can be written again with one address changed. Missing commas are
/// supplied, source routes removed. Reading is linear in the text and does not recurse; no input is
/// an error.
class AddressList {
public:
    /// Reads the body of an address field, folded or not.
    explicit AddressList(std::string_view text, std::size_t token_limit = kAddressTokenLimit);

    /// The addresses, in order; phrases, group names and comments are none.
    std::size_t size() const { return addresses_.size(); }
    /// In internal form; without domain if the text has none.
    const mail::Address& address(std::size_t index) const { return addresses_[index]; }
    /// Puts another address in the place of one.
    void replace(std::size_t index, mail::Address address);

    /// Whether each address may be used: no control character in it, a domain that can be written,
    /// not too long.
    bool is_well_formed() const { return well_formed_; }

    /// The list as Postfix writes a changed field: a comma and LF behind each address. Where it is
    /// well-formed, what is written reads as the same addresses, and is written the same.
    std::string text() const;

private:
    enum class Kind : std::uint8_t {
        Atom,
        Quoted,
        Literal,
        Comment,
        Operator,
        GroupStart,
        Address
    };
    struct Token {
        Kind kind;
        char op = 0;         ///< Operator: the character.
        std::string text{};  ///< Atom, Quoted, Literal: without quotes. Comment: with parentheses.
        std::size_t index = 0;  ///< Address: its place in addresses_.

        bool is(char c) const { return kind == Kind::Operator && op == c; }
        bool is_word() const {
            return kind == Kind::Atom || kind == Kind::Quoted || kind == Kind::Literal;
        }
    };
    class Reader;
    class Parser;

    static bool wants_space(const Token& token, const Token& next);

    std::vector<Token> tokens_;
    std::vector<mail::Address> addresses_;
    bool well_formed_ = true;
};

/// The addresses in the text of `-f`, a recipient argument or a table entry: `a@x, Bob <b@y>` gives
/// two, `undisclosed:;` and `<>` none. Those that are not well-formed are left out.
std::vector<mail::Address> parse_address_list(std::string_view text);

}  // namespace postrider::message
