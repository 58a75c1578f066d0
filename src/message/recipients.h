// The envelope of one message on its way through cleanup: rewritten, expanded, each once.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_set>
#include <vector>

#include "core/log.h"
#include "mail/envelope.h"
#include "mail/status.h"
#include "message/rewrite.h"

namespace postrider::message {

/// Why the envelope cannot be accepted.
struct EnvelopeTrouble {
    int reply_code = 451;
    mail::EnhancedStatus status{4, 3, 0};
    std::string text;
};

/// Collects a message's recipients as they become known, sender first. Trouble is logged and kept;
/// the first counts.
class Recipients {
public:
    struct Limits {
        std::size_t recipient_limit;
        bool address_mappings;
    };

    Recipients(const Rewriter& rewriter, Limits limits, Log log, std::string queue_id)
        : rewriter_(rewriter),
          limits_(limits),
          log_(std::move(log)),
          queue_id_(std::move(queue_id)) {}

    /// The reverse-path as queued. Whoever has a copy because of it is added.
    mail::Address sender(const mail::Address& submitted);
    /// A recipient of the envelope or of a header field.
    void add(mail::Recipient submitted);
    /// Somebody who gets a copy without anybody's knowing, and no report of it.
    void add_blind(const mail::Address& address);
    /// always_bcc, once all others are known.
    void add_always_bcc();
    /// The message goes to this address and to nobody else.
    void redirect(const mail::Address& address);

    bool empty() const { return recipients_.empty(); }
    /// The latest one added by add(), as rewritten.
    const std::optional<mail::Address>& latest() const { return latest_; }
    const std::optional<EnvelopeTrouble>& trouble() const { return trouble_; }
    std::vector<mail::Recipient> take() { return std::move(recipients_); }
    const std::vector<mail::Recipient>& list() const { return recipients_; }

private:
    mail::Address canonical(mail::Address standard, AddressClass address_class);
    void add_copies(const Result<std::vector<mail::Address>>& copies);
    void expand(const mail::Recipient& recipient);
    void put(mail::Recipient recipient);
    void note(const Error& error);
    std::string duplicate_key(const mail::Recipient& recipient) const;

    const Rewriter& rewriter_;
    Limits limits_;
    Log log_;
    std::string queue_id_;
    std::vector<mail::Recipient> recipients_;
    std::unordered_set<std::string> seen_;
    std::optional<mail::Address> latest_;
    std::optional<EnvelopeTrouble> trouble_;
};

}  // namespace postrider::message
