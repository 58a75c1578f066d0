// The envelope: who a message is from, whom it is for, and the ESMTP parameters of both.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "mail/address.h"

namespace postrider::mail {

/// The BODY parameter of MAIL (RFC 6152); Unknown when nobody said.
enum class BodyType : std::uint8_t { Unknown, SevenBit, EightBitMime };

/// The RET parameter of MAIL (RFC 3461 4.3).
enum class DsnReturn : std::uint8_t { Unspecified, Full, Headers };

/// The NOTIFY parameter of RCPT (RFC 3461 4.1), as a set. Empty means not given, which is read as
/// Failure (and Delay, where the operator wants delay notices).
struct Notify {
    bool never = false;
    bool success = false;
    bool failure = false;
    bool delay = false;

    bool is_unspecified() const { return !never && !success && !failure && !delay; }
    bool wants_failure() const { return is_unspecified() || failure; }
    bool wants_delay() const { return is_unspecified() || delay; }
    friend bool operator==(const Notify&, const Notify&) = default;
};

/// One forward-path with what was asked for it.
struct Recipient {
    Address address;   ///< Where it goes, after rewriting.
    Address original;  ///< As submitted, before aliases; logged as orig_to when it differs.
    std::string original_recipient;  ///< ORCPT, decoded: `rfc822;bob@x.example`. Empty if none.
    Notify notify;

    Recipient() = default;
    explicit Recipient(Address to) : address(to), original(std::move(to)) {}
};

struct Envelope {
    Address reverse_path;
    std::string envelope_id;  ///< ENVID, decoded; printable ASCII. Empty if none.
    DsnReturn dsn_return = DsnReturn::Unspecified;
    BodyType body = BodyType::Unknown;
    bool smtputf8 = false;
    std::vector<Recipient> recipients;
};

}  // namespace postrider::mail
