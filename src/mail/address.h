// One mail address, as a value.
#pragma once

#include <compare>
#include <optional>
#include <string>
#include <string_view>

namespace postrider::mail {

/// An address in internal form: the local part without quotes, the domain as written (a literal
/// keeps its brackets). Both empty is the null reverse-path `<>`; a bare name has no domain.
/// Never holds CR, LF, NUL or another control character (RFC 5321 4.1.2).
struct Address {
    std::string local_part;
    std::string domain;

    Address() = default;
    Address(std::string local, std::string at)
        : local_part(std::move(local)), domain(std::move(at)) {}

    bool is_null() const { return local_part.empty() && domain.empty(); }
    friend auto operator<=>(const Address&, const Address&) = default;
};

/// How an address is written in SMTP, headers and logs: the local part quoted where RFC 5321 wants
/// it (`"a b"@x.example`), the null address as nothing.
std::string external(const Address&);

/// As looked up and stored: the local part as it is, `local@domain` or `local`.
std::string internal(const Address&);

/// Reads the external form of one address, without angle brackets, comments or source route:
/// dot-atom or quoted local part, then, optionally, `@` and a domain or literal. The local part is
/// split at the last `@` outside quotes. Empty text is the null address. Nothing if a control
/// character, an unbalanced quote, an empty local part before `@` or what is no domain behind it
/// stands in it.
std::optional<Address> parse_address(std::string_view text);

/// Whether a text can stand behind the `@` without being taken for something else: no control
/// character, space, quote, backslash, `@` or mark of a list in it, and brackets only around a
/// literal.
bool is_domain_text(std::string_view text);

/// Same mailbox as far as anybody but its own server can tell: domain without regard to case.
bool same_mailbox(const Address&, const Address&);

}  // namespace postrider::mail
