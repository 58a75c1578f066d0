// Which envelope senders a local user may give: local_login_sender_maps.
#pragma once

#include <string>
#include <string_view>

#include "core/result.h"
#include "mail/address.h"
#include "table/table.h"

namespace postrider::intake {

/// As Postfix's postdrop: a login name is looked up whole, and has patterns, separated by commas or
/// white space but for those in double quotes:
///
///   *                  any sender
///   <>                 the null sender, as `null_sender` writes it
///   @domain            any address of the domain
///   user, user@domain  that address, in its external form; an extension in the sender does not
///   count
///
/// The case of letters does not matter. A login without an entry may use no sender.
class LoginSenders {
public:
    /// `delimiters`: recipient_delimiter. `null_sender`:
    /// empty_address_local_login_sender_maps_lookup_key.
    LoginSenders(table::Tables maps, std::string null_sender, std::string delimiters)
        : maps_(std::move(maps)),
          null_sender_(std::move(null_sender)),
          delimiters_(std::move(delimiters)) {}

    /// Whether `login`, or `uid:N` of who has no name, may send as `sender`, as that was given.
    /// An error, which has been logged, means that a table could not say.
    Result<bool> allow(std::string_view login, const mail::Address& sender) const;

private:
    bool matches(std::string_view pattern, const mail::Address& sender) const;

    table::Tables maps_;
    std::string null_sender_;
    std::string delimiters_;
};

}  // namespace postrider::intake
