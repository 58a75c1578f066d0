#include "message/recipients.h"

#include <utility>

#include "core/ascii.h"
#include "core/text.h"
#include "message/address_list.h"

namespace postrider::message {
namespace {

mail::Notify never() {
    mail::Notify notify;
    notify.never = true;
    return notify;
}

}  // namespace

mail::Address Recipients::sender(const mail::Address& submitted) {
    const mail::Address sender =
        canonical(rewriter_.standard_sender(submitted), AddressClass::EnvelopeSender);
    if (limits_.address_mappings && !sender.is_null()) add_copies(rewriter_.sender_bcc(sender));
    return sender;
}

void Recipients::add(mail::Recipient submitted) {
    mail::Recipient recipient = std::move(submitted);
    recipient.address =
        canonical(rewriter_.standard_recipient(recipient.address), AddressClass::EnvelopeRecipient);
    // RFC 3461 4.2: the first to handle it says what it was for.
    if (recipient.original_recipient.empty()) {
        recipient.original_recipient = concat({"rfc822;", mail::internal(recipient.address)});
    }
    expand(recipient);
    latest_ = recipient.address;
    if (limits_.address_mappings) add_copies(rewriter_.recipient_bcc(recipient.address));
}

void Recipients::add_blind(const mail::Address& address) {
    mail::Recipient recipient(
        canonical(rewriter_.standard_recipient(address), AddressClass::EnvelopeRecipient));
    recipient.notify = never();
    expand(recipient);
}

void Recipients::add_always_bcc() {
    if (!limits_.address_mappings || !latest_) return;
    for (const mail::Address& copy : parse_address_list(rewriter_.options().always_bcc)) {
        add_blind(copy);
    }
}

void Recipients::redirect(const mail::Address& address) {
    mail::Recipient recipient;
    if (!recipients_.empty()) recipient = std::move(recipients_.front());
    recipient.address = rewriter_.standard_recipient(address);
    recipients_.clear();
    recipients_.push_back(std::move(recipient));
}

mail::Address Recipients::canonical(mail::Address standard, AddressClass address_class) {
    if (!limits_.address_mappings) return standard;
    auto rewritten = rewriter_.canonical(standard, address_class);
    if (rewritten) return std::move(*rewritten);
    note(rewritten.error());
    return standard;
}

void Recipients::add_copies(const Result<std::vector<mail::Address>>& copies) {
    if (!copies) return note(copies.error());
    for (const mail::Address& copy : *copies) add_blind(copy);
}

void Recipients::expand(const mail::Recipient& recipient) {
    if (!limits_.address_mappings) return put(recipient);
    auto expanded = rewriter_.expand(recipient);
    if (!expanded) {
        note(expanded.error());
        return put(recipient);
    }
    for (mail::Recipient& one : *expanded) put(std::move(one));
}

void Recipients::put(mail::Recipient recipient) {
    const std::size_t remembered = rewriter_.options().duplicate_filter_limit;
    std::string key = duplicate_key(recipient);
    const bool has_room = remembered == 0 || seen_.size() < remembered;
    const bool fresh = has_room ? seen_.insert(std::move(key)).second : !seen_.contains(key);
    if (!fresh) return;
    if (recipients_.size() >= limits_.recipient_limit) {
        if (!trouble_) trouble_ = EnvelopeTrouble{452, {4, 5, 3}, "too many recipients"};
        return;
    }
    recipients_.push_back(std::move(recipient));
}

void Recipients::note(const Error& error) {
    log_.warning(queue_id_ + ": " + error.message);
    if (trouble_) return;
    if (error.code == ErrorCode::Limit) {
        trouble_ = EnvelopeTrouble{451, {4, 6, 0}, "Alias expansion error"};
    } else {
        trouble_ = EnvelopeTrouble{451, {4, 3, 0}, "Temporary lookup failure"};
    }
}

// With enable_original_recipient, one mailbox reached by two names gets two copies, each telling by
// which: as in Postfix.
std::string Recipients::duplicate_key(const mail::Recipient& recipient) const {
    const std::string address = mail::internal(recipient.address);
    if (!rewriter_.options().enable_original_recipient) return ascii_lowercase(address);
    const mail::Notify& notify = recipient.notify;
    const char wanted = static_cast<char>('0' + (notify.never ? 1 : 0) + (notify.success ? 2 : 0) +
                                          (notify.failure ? 4 : 0) + (notify.delay ? 8 : 0));
    return ascii_lowercase(concat({address,
                                   "\n",
                                   {&wanted, 1},
                                   "\n",
                                   recipient.original_recipient,
                                   "\n",
                                   mail::internal(recipient.original)}));
}

}  // namespace postrider::message
