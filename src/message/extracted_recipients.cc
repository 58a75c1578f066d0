#include "message/extracted_recipients.h"

#include <utility>

#include "message/address_list.h"

namespace postrider::message {

bool ExtractedRecipients::add(Field field, std::string_view value) {
    const bool plain = field == Field::To || field == Field::Cc || field == Field::Bcc;
    const bool resent =
        field == Field::ResentTo || field == Field::ResentCc || field == Field::ResentBcc;
    if (!plain && !resent) return true;
    // No limit on tokens here: it would drop recipients in silence.
    const AddressList list(value, value.size() + 1);
    if (!list.is_well_formed()) malformed_ = true;
    auto& into = resent ? resent_ : plain_;
    for (std::size_t i = 0; i < list.size(); ++i) {
        if (into.size() >= limit_) return false;
        into.push_back(list.address(i));
    }
    return true;
}

std::vector<mail::Address> ExtractedRecipients::take() {
    return std::move(resent_.empty() ? plain_ : resent_);
}

}  // namespace postrider::message
