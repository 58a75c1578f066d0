// Addresses in header fields and arguments, RFC 5322 3.4 with what mail programs make of it.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "mail/address.h"

namespace postrider::message {

/// header_address_token_limit: what stands behind that many words is not read.
inline constexpr std::size_t kAddressTokenLimit = 10240;

/// An address list as a sequence of words: comments, quoted strings, groups, routes and the order
/// in which all of it was written are kept, so that a field can be written again with one address
/// changed. Reading is linear in the text and does not recurse; no input is an error.
class AddressList {
public:
    /// Reads the body of an address field, folded or not.
    explicit AddressList(std::string_view text, std::size_t token_limit = kAddressTokenLimit);

    /// The addresses, in order; group names and comments are none.
    std::size_t size() const { return addresses_.size(); }
    /// In internal form. Local and domain part may be empty in malformed input.
    const mail::Address& address(std::size_t index) const { return addresses_[index].value; }
    /// Puts another address in the place of one.
    void replace(std::size_t index, mail::Address);

    /// The list as Postfix writes a changed field: one address per line, LF between lines.
    std::string text() const;

private:
    struct Item;
    struct Entry {
        mail::Address value;
        std::size_t first;  ///< Its words in items_: [first, last).
        std::size_t last;
        bool replaced = false;
    };
    std::vector<Entry> addresses_;
    std::vector<std::string> words_;
};

/// The addresses in the text of `-f`, a recipient argument or a To: field:
/// `a@x, Bob <b@y>` gives two, `undisclosed:;` none.
std::vector<mail::Address> parse_address_list(std::string_view text);

}  // namespace postrider::message
