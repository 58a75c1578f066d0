// What becomes of an address between submission and queue.
#pragma once

#include <cstddef>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/result.h"
#include "mail/address.h"
#include "mail/envelope.h"
#include "table/address_keys.h"
#include "table/table.h"

namespace postrider::message {

/// Where a table or masquerading applies: canonical_classes and its kin.
struct AddressClasses {
    bool envelope_sender = true;
    bool envelope_recipient = true;
    bool header_sender = true;
    bool header_recipient = true;
};

/// Parameters of main.cf by their own names, opened and parsed. One value serves all messages.
struct RewriteOptions {
    std::string myhostname;
    std::string myorigin;  ///< Appended to bare names.
    std::string mydomain;
    std::string remote_header_rewrite_domain;
    std::string empty_address_recipient = "MAILER-DAEMON";
    std::string recipient_delimiter;  ///< Any of its characters parts user from extension.
    bool append_at_myorigin = true;
    bool append_dot_mydomain = false;
    bool swap_bangpath = true;
    bool allow_percent_hack = true;
    bool enable_original_recipient = true;

    /// Whether mail for `domain` ends here: mydestination, or an address literal of ours. Asked
    /// with the domain in lower case. An empty function means no domain is.
    std::function<bool(std::string_view domain)> is_local_domain;

    table::Tables sender_canonical_maps;
    AddressClasses sender_canonical_classes{true, false, true, false};
    table::Tables recipient_canonical_maps;
    AddressClasses recipient_canonical_classes{false, true, false, true};
    table::Tables canonical_maps;
    AddressClasses canonical_classes;

    std::vector<std::string> masquerade_domains;  ///< In order; `!x` excludes.
    std::vector<std::string> masquerade_exceptions;
    AddressClasses masquerade_classes{true, false, true, true};

    std::string always_bcc;
    table::Tables sender_bcc_maps;
    table::Tables recipient_bcc_maps;

    table::Tables virtual_alias_maps;
    std::size_t virtual_alias_recursion_limit = 1000;
    std::size_t virtual_alias_expansion_limit = 1000;
    std::size_t virtual_alias_address_length_limit = 1000;

    table::Tables alias_maps;  ///< Opened with Substitution::Forbidden.
    std::string luser_relay;   ///< `$user`, `$local`, `$extension`, `$domain`, `$recipient` stand.

    bool propagate_canonical = true;  ///< propagate_unmatched_extensions, one flag a word.
    bool propagate_virtual = true;
    bool propagate_alias = false;

    std::size_t duplicate_filter_limit = 1000;  ///< Recipients remembered; 0 means all.
};

/// What an address is in the message.
enum class AddressClass { EnvelopeSender, EnvelopeRecipient, HeaderSender, HeaderRecipient };

/// Whose defaults complete an address: ours, or remote_header_rewrite_domain's.
enum class RewriteContext { Local, Remote };

/// Rewrites addresses as the options say. Holds no state: one serves all messages. Its errors are
/// lookups that failed for now (ErrorCode::Unavailable) or expansions without end (Limit); both
/// mean "not accepted, try again later", and the message is the line for the log.
class Rewriter {
public:
    /// The options must outlive it.
    explicit Rewriter(const RewriteOptions& options) : options_(options) {}

    /// Whether mail for `domain` ends here.
    bool is_local(std::string_view domain) const;

    /// `site!user` and `user%domain` turned round, bare names and dotless domains completed, one
    /// trailing dot removed.
    mail::Address standard_form(mail::Address address,
                                RewriteContext context = RewriteContext::Local) const;

    /// Canonical maps and masquerading, as the class permits. Takes a standard form.
    Result<mail::Address> canonical(mail::Address address, AddressClass address_class) const;

    /// Standard form of the reverse-path; mail from our own MAILER-DAEMON has the null sender.
    mail::Address standard_sender(const mail::Address& submitted) const;
    /// Standard form of a forward-path; the empty one is for empty_address_recipient.
    mail::Address standard_recipient(const mail::Address& submitted) const;

    /// The recipients that one recipient, in canonical form, stands for: virtual aliases, then, for
    /// local addresses, alias_maps or luser_relay. A local address without either remains and is
    /// for the delivery to refuse, as it remains for each command, file or :include: that an alias
    /// names.
    Result<std::vector<mail::Recipient>> expand(const mail::Recipient& recipient) const;

    /// Whether virtual_alias_maps, alias_maps or luser_relay take mail for this address elsewhere.
    Result<bool> has_alias(const mail::Address& recipient) const;

    /// Who gets a blind copy because of this sender or recipient; may be nobody.
    Result<std::vector<mail::Address>> sender_bcc(const mail::Address& sender) const;
    Result<std::vector<mail::Address>> recipient_bcc(const mail::Address& recipient) const;

    const RewriteOptions& options() const { return options_; }

private:
    class Expansion;
    using Addresses = std::vector<mail::Address>;

    Result<std::optional<table::AddressHit>> find(const table::Tables& tables,
                                                  const mail::Address& address) const;
    Result<Addresses> mapped(const table::Tables& tables, const mail::Address& address,
                             bool propagate) const;
    Result<mail::Address> mapped_to_one(const table::Tables& tables, mail::Address address) const;
    Result<std::optional<std::string>> find_alias(const mail::Address& local) const;
    mail::Address masqueraded(mail::Address address) const;

    const RewriteOptions& options_;
};

}  // namespace postrider::message
