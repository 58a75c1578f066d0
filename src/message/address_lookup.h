// Asking a table about an address: which keys, in which order.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "core/result.h"
#include "mail/address.h"
#include "table/table.h"

namespace postrider::message {

/// `user+ext` taken apart at the first of the delimiters.
struct SplitLocalPart {
    std::string_view user;
    std::string_view extension;  ///< With its delimiter; empty if there is none.
};
/// Never splits before the first character, `mailer-daemon`, `double-bounce`, nor, when `owners`,
/// `owner-x` and `x-request` at a hyphen.
SplitLocalPart split_local_part(std::string_view local_part, std::string_view delimiters,
                                bool owners);

struct AddressQuery {
    std::string_view delimiters;
    bool owners = true;
    /// Whether the local part alone may be asked for.
    bool is_own_domain = false;
};

struct AddressAnswer {
    std::string value;
    std::string unmatched_extension;  ///< What the key that was found left out.
};

/// Asks for user+ext@domain, user@domain, then, in own domains, user+ext and user, then @domain.
/// Each in external form, then, where that differs, as it is. Pattern tables see the first only.
Result<std::optional<AddressAnswer>> find_address(const table::Tables& tables,
                                                  const mail::Address& address,
                                                  const AddressQuery& query);

}  // namespace postrider::message
