// Which keys an address or a domain is looked up under, and in which order.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "table/table.h"

namespace postrider::table {

/// An address in the form tables are asked for it.
struct AddressQuery {
    std::string_view local_part;  ///< Internal form: without quotes.
    std::string_view domain;      ///< May be empty: a bare name.
    std::string_view delimiters;  ///< recipient_delimiter: each character is one; empty for none.
    bool own_domain = false;      ///< The domain is myorigin, in mydestination, or an own literal.
};

/// One key to ask for.
struct AddressKey {
    std::string text;
    bool whole = false;              ///< The full address: pattern tables may see it.
    bool without_extension = false;  ///< The extension was taken off to get it.

    friend bool operator==(const AddressKey&, const AddressKey&) = default;
};

/// `user+ext` as `user` and `+ext`; the second part is empty where there is no extension.
/// postmaster, mailer-daemon and double-bounce are never split, owner-x and x-request not at a
/// hyphen.
std::pair<std::string_view, std::string_view> split_extension(std::string_view local_part,
                                                              std::string_view delimiters);

/// `user+ext@domain`, `user@domain`, `user+ext`, `user` (these two for an own domain), `@domain`:
/// canonical, virtual, generic, bcc and sender dependent tables. A local part that needs quotes is
/// asked for in its quoted form first, then as it is.
std::vector<AddressKey> address_keys(const AddressQuery&);

/// How parents of a domain are asked for: `.example.com`, or `example.com` where
/// parent_domain_matches_subdomains names the parameter.
enum class Parents { WithDot, WithoutDot };

/// The domain, then its parents: `a.example.com`, `.example.com`, `.com`.
std::vector<std::string> domain_keys(std::string_view domain, Parents);

/// transport_maps: `user+ext@domain`, `user@domain`, the domain, its parents, `*`.
std::vector<AddressKey> transport_keys(const AddressQuery&, Parents);

/// A value, and what it did not account for.
struct AddressHit {
    std::string value;
    std::string unmatched_extension;  ///< `+ext`, when the key that hit was without it.
};

/// Asks for each key in turn; pattern tables see whole addresses only.
Result<std::optional<AddressHit>> find_first(const Tables&, const std::vector<AddressKey>&,
                                             std::string_view extension = {});

/// find_first() with address_keys().
Result<std::optional<AddressHit>> find_address(const Tables&, const AddressQuery&);

}  // namespace postrider::table
