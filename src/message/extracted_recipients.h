// Recipients that a message names in its header fields (`sendmail -t`).
#pragma once

#include <cstddef>
#include <string_view>
#include <vector>

#include "mail/address.h"
#include "message/header_field.h"

namespace postrider::message {

/// Collects the addresses of To, Cc, Bcc and of their Resent- kind, at most so many of each.
class ExtractedRecipients {
public:
    explicit ExtractedRecipients(std::size_t recipient_limit) : limit_(recipient_limit) {}

    /// False if there are too many. Fields that name no recipients count for nothing.
    bool add(Field field, std::string_view value);
    /// A field could not be read to its end: somebody may be missing.
    bool is_malformed() const { return malformed_; }
    /// If the message was sent again, it goes to those it was sent again to.
    std::vector<mail::Address> take();

private:
    std::size_t limit_;
    std::vector<mail::Address> plain_;
    std::vector<mail::Address> resent_;
    bool malformed_ = false;
};

}  // namespace postrider::message
