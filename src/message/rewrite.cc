#include "message/rewrite.h"

#include <algorithm>
#include <optional>
#include <utility>

#include <fmt/format.h>

#include "core/ascii.h"
#include "core/log.h"
#include "message/address_list.h"

namespace postrider::message {
namespace {

constexpr int kCanonicalRecursionLimit = 10;
constexpr std::string_view kTryAgain = "message not accepted, try again later";

bool applies(const AddressClasses& classes, AddressClass address_class) {
    switch (address_class) {
        case AddressClass::EnvelopeSender:
            return classes.envelope_sender;
        case AddressClass::EnvelopeRecipient:
            return classes.envelope_recipient;
        case AddressClass::HeaderSender:
            return classes.header_sender;
        case AddressClass::HeaderRecipient:
            return classes.header_recipient;
    }
    return false;
}

bool is_sender(AddressClass address_class) {
    return address_class == AddressClass::EnvelopeSender ||
           address_class == AddressClass::HeaderSender;
}

Unexpected lookup_problem(const table::Tables& tables, const mail::Address& address) {
    return Unexpected(ErrorCode::Unavailable,
                      fmt::format("{} map lookup problem for {} -- {}", tables.parameter(),
                                  mail::internal(address), kTryAgain));
}

Unexpected too_much(const table::Tables& tables, std::string_view what, std::string_view text) {
    return Unexpected(ErrorCode::Limit, fmt::format("unreasonable {} {} {} -- {}",
                                                    tables.parameter(), what, text, kTryAgain));
}

/// A table's mistake must not cost anybody mail: what it says is taken whole or not at all.
Unexpected bad_result(const table::Tables& tables, const mail::Address& address,
                      std::string_view value) {
    constexpr std::size_t kShownMax = 300;
    return Unexpected(ErrorCode::Unavailable,
                      fmt::format("{} map lookup of {} returns no valid address list: \"{}\" -- {}",
                                  tables.parameter(), mail::internal(address),
                                  printable(value.substr(0, kShownMax)), kTryAgain));
}

bool is_same(const mail::Address& a, const mail::Address& b) {
    return equals_ignoring_case(a.local_part, b.local_part) &&
           equals_ignoring_case(a.domain, b.domain);
}

bool is_among(const mail::Address& address, const std::vector<mail::Address>& list) {
    return std::any_of(list.begin(), list.end(),
                       [&](const mail::Address& other) { return is_same(address, other); });
}

}  // namespace

bool Rewriter::is_local(std::string_view domain) const {
    return options_.is_local_domain && options_.is_local_domain(ascii_lowercase(domain));
}

mail::Address Rewriter::standard_form(mail::Address address, RewriteContext context) const {
    if (address.is_null()) return address;
    const bool local = context == RewriteContext::Local;
    const std::string& origin = local ? options_.myorigin : options_.remote_header_rewrite_domain;
    const std::string& parent = local ? options_.mydomain : options_.remote_header_rewrite_domain;

    if (address.domain.empty()) {
        const std::string& text = address.local_part;
        const std::size_t bang = text.find('!');
        const std::size_t percent = text.rfind('%');
        // What was in quotes may hold anything.
        const auto names_domain = [&](std::size_t from, std::size_t length) {
            return mail::is_domain_text(std::string_view(text).substr(from, length));
        };
        if (options_.swap_bangpath && bang != std::string::npos && names_domain(0, bang)) {
            address = mail::Address(text.substr(bang + 1), text.substr(0, bang));
        } else if (options_.allow_percent_hack && percent != std::string::npos &&
                   names_domain(percent + 1, std::string::npos)) {
            address = mail::Address(text.substr(0, percent), text.substr(percent + 1));
        }
        // `!user` and `user%` name no domain either.
        if (address.domain.empty() && options_.append_at_myorigin) address.domain = origin;
    }
    std::string& domain = address.domain;
    if (options_.append_dot_mydomain && !parent.empty() && !domain.empty() &&
        domain.find_first_of(".[") == std::string::npos) {
        domain.append(".").append(parent);
    }
    if (domain.size() > 1 && domain.back() == '.' && domain[domain.size() - 2] != '.') {
        domain.pop_back();
    }
    return address;
}

Result<mail::Address> Rewriter::canonical(mail::Address address, AddressClass address_class) const {
    const table::Tables& first = is_sender(address_class) ? options_.sender_canonical_maps
                                                          : options_.recipient_canonical_maps;
    const AddressClasses& classes = is_sender(address_class) ? options_.sender_canonical_classes
                                                             : options_.recipient_canonical_classes;
    if (address.is_null()) return address;
    if (!first.empty() && applies(classes, address_class)) {
        auto mapped = mapped_to_one(first, std::move(address));
        if (!mapped) return mapped;
        address = std::move(*mapped);
    }
    if (!options_.canonical_maps.empty() && applies(options_.canonical_classes, address_class)) {
        auto mapped = mapped_to_one(options_.canonical_maps, std::move(address));
        if (!mapped) return mapped;
        address = std::move(*mapped);
    }
    if (!options_.masquerade_domains.empty() &&
        applies(options_.masquerade_classes, address_class)) {
        address = masqueraded(std::move(address));
    }
    return address;
}

mail::Address Rewriter::standard_sender(const mail::Address& submitted) const {
    mail::Address sender = standard_form(submitted);
    if (equals_ignoring_case(sender.local_part, "MAILER-DAEMON") &&
        is_same(sender, standard_form(mail::Address("MAILER-DAEMON", "")))) {
        return {};
    }
    return sender;
}

mail::Address Rewriter::standard_recipient(const mail::Address& submitted) const {
    if (!submitted.is_null()) return standard_form(submitted);
    const auto named = parse_address_list(options_.empty_address_recipient);
    return named.empty() ? mail::Address() : standard_form(named.front());
}

/// One recipient being expanded. Breadth first, so that neither depth nor width needs a stack.
class Rewriter::Expansion {
public:
    Expansion(const Rewriter& rewriter, const mail::Address& start) : rewriter_(rewriter) {
        pending_.push_back({start, 0, false});
    }

    Result<Addresses> run() {
        while (next_ < pending_.size()) {
            const Step step = pending_[next_++];
            if (is_among(step.address, seen_)) continue;
            seen_.push_back(step.address);
            auto done = step_virtual(step);
            if (!done) return Unexpected(std::move(done).error());
        }
        // A circle with no way out.
        if (result_.empty()) {
            return too_much(rewriter_.options_.virtual_alias_maps, "map nesting for",
                            mail::internal(pending_[0].address));
        }
        return std::move(result_);
    }

private:
    struct Step {
        mail::Address address;
        std::size_t depth;
        bool from_luser_relay;
    };

    Result<void> step_virtual(const Step& step) {
        const RewriteOptions& options = rewriter_.options_;
        const table::Tables& maps = options.virtual_alias_maps;
        if (maps.empty()) return step_local(step);
        auto mapped = rewriter_.mapped(maps, step.address, options.propagate_virtual);
        if (!mapped) return Unexpected(std::move(mapped).error());
        if (mapped->empty()) return step_local(step);
        if (step.depth >= options.virtual_alias_recursion_limit) {
            return too_much(maps, "map nesting for", mail::internal(step.address));
        }
        for (mail::Address& to : *mapped) {
            if (mail::internal(to).size() > options.virtual_alias_address_length_limit) {
                return too_much(maps, "result", mail::internal(to).substr(0, 300) + "...");
            }
            // An address may stand for itself among others: it is expanded no further.
            if (is_same(to, step.address)) {
                auto done = step_local(step);
                if (!done) return done;
            } else {
                auto added = add(maps, std::move(to), step);
                if (!added) return added;
            }
        }
        return {};
    }

    Result<void> step_local(const Step& step) {
        if (!rewriter_.is_local(step.address.domain)) {
            keep(step.address);
            return {};
        }
        auto alias = rewriter_.find_alias(step.address);
        if (!alias) return Unexpected(std::move(alias).error());
        if (alias->has_value()) return follow_alias(**alias, step);
        const std::string& relay = rewriter_.options_.luser_relay;
        if (relay.empty() || step.from_luser_relay) {
            keep(step.address);
            return {};
        }
        return follow_luser_relay(relay, step);
    }

    // aliases(5). Commands, files and lists of files are for a machine with mailboxes: the address
    // stays, so that the delivery can refuse it with a text.
    Result<void> follow_alias(const std::string& value, const Step& step) {
        const AddressList list(value);
        if (!list.is_well_formed()) {
            return bad_result(rewriter_.options_.alias_maps, step.address, value);
        }
        if (list.size() == 0) keep(step.address);
        for (std::size_t i = 0; i < list.size(); ++i) {
            mail::Address to = list.address(i);
            const std::string text = mail::internal(to);
            if (text[0] == '|' || text[0] == '/' || text.find(":include:") == 0) {
                keep(step.address);
                continue;
            }
            // `\name`, read without its backslash, is the mailbox `name`, as is `name: name`.
            to = rewriter_.standard_form(std::move(to));
            if (is_same(to, step.address)) {
                keep(step.address);
            } else {
                auto added = add(rewriter_.options_.alias_maps, std::move(to), step);
                if (!added) return added;
            }
        }
        return {};
    }

    Result<void> follow_luser_relay(const std::string& relay, const Step& step) {
        const auto targets = parse_address_list(filled_in(relay, step.address));
        if (targets.empty()) {
            keep(step.address);
            return {};
        }
        for (const mail::Address& target : targets) {
            mail::Address to = rewriter_.standard_form(target);
            if (is_same(to, step.address)) {
                keep(step.address);
                return {};
            }
            pending_.push_back({std::move(to), step.depth + 1, true});
        }
        return {};
    }

    std::string filled_in(std::string_view pattern, const mail::Address& address) const {
        const auto split =
            table::split_extension(address.local_part, rewriter_.options_.recipient_delimiter);
        const std::string_view extension =
            split.second.empty() ? split.second : split.second.substr(1);
        const std::pair<std::string_view, std::string> names[] = {
            {"user", std::string(split.first)},     {"local", address.local_part},
            {"extension", std::string(extension)},  {"domain", address.domain},
            {"recipient", mail::external(address)},
        };
        std::string result;
        while (!pattern.empty()) {
            const std::size_t dollar = std::min(pattern.find('$'), pattern.size());
            result.append(pattern.substr(0, dollar));
            pattern.remove_prefix(dollar);
            if (pattern.empty()) break;
            std::string_view rest = pattern.substr(1);
            const char close = rest.substr(0, 1) == "{" ? '}' : rest.substr(0, 1) == "(" ? ')' : 0;
            if (close != 0) rest.remove_prefix(1);
            const auto* name = std::find_if(std::begin(names), std::end(names), [&](const auto& n) {
                return rest.substr(0, n.first.size()) == n.first;
            });
            if (name == std::end(names)) {
                result += '$';
                pattern.remove_prefix(1);
                continue;
            }
            result.append(name->second);
            rest.remove_prefix(name->first.size());
            if (close != 0 && rest.substr(0, 1) == std::string_view(&close, 1)) {
                rest.remove_prefix(1);
            }
            pattern = rest;
        }
        return result;
    }

    Result<void> add(const table::Tables& maps, mail::Address to, const Step& from) {
        if (pending_.size() >= rewriter_.options_.virtual_alias_expansion_limit) {
            return too_much(maps, "map expansion size for", mail::internal(pending_[0].address));
        }
        pending_.push_back({std::move(to), from.depth + 1, from.from_luser_relay});
        return {};
    }

    void keep(const mail::Address& address) {
        if (!is_among(address, result_)) result_.push_back(address);
    }

    const Rewriter& rewriter_;
    std::vector<Step> pending_;
    std::size_t next_ = 0;
    Addresses seen_;
    Addresses result_;
};

Result<std::vector<mail::Recipient>> Rewriter::expand(const mail::Recipient& recipient) const {
    // Nearly every recipient is somebody elsewhere of whom no table speaks.
    if (options_.virtual_alias_maps.empty() && !is_local(recipient.address.domain)) {
        return std::vector{recipient};
    }
    auto addresses = Expansion(*this, recipient.address).run();
    if (!addresses) return Unexpected(std::move(addresses).error());
    mail::Recipient one = recipient;
    const bool changed = addresses->size() != 1 || !(addresses->front() == recipient.address);
    // RFC 3461 5.2.7.3: success of what an alias stands for is not for the sender to learn.
    if (changed && one.notify.success) {
        one.notify.success = false;
        one.notify.never = one.notify.is_unspecified();
    }
    std::vector<mail::Recipient> result;
    for (mail::Address& address : *addresses) {
        one.address = std::move(address);
        result.push_back(one);
    }
    return result;
}

Result<bool> Rewriter::has_alias(const mail::Address& recipient) const {
    auto virtual_alias = find(options_.virtual_alias_maps, recipient);
    if (!virtual_alias) return Unexpected(std::move(virtual_alias).error());
    if (virtual_alias->has_value()) return true;
    if (!is_local(recipient.domain)) return false;
    if (!options_.luser_relay.empty()) return true;
    auto alias = find_alias(recipient);
    if (!alias) return Unexpected(std::move(alias).error());
    return alias->has_value();
}

Result<std::vector<mail::Address>> Rewriter::sender_bcc(const mail::Address& sender) const {
    return mapped(options_.sender_bcc_maps, sender, false);
}

Result<std::vector<mail::Address>> Rewriter::recipient_bcc(const mail::Address& recipient) const {
    return mapped(options_.recipient_bcc_maps, recipient, false);
}

Result<std::optional<table::AddressHit>> Rewriter::find(const table::Tables& tables,
                                                        const mail::Address& address) const {
    if (tables.empty() || address.is_null()) return std::optional<table::AddressHit>();
    table::AddressQuery query;
    query.local_part = address.local_part;
    query.domain = address.domain;
    query.delimiters = options_.recipient_delimiter;
    query.own_domain =
        equals_ignoring_case(address.domain, options_.myorigin) || is_local(address.domain);
    auto hit = table::find_address(tables, query);
    if (!hit) return lookup_problem(tables, address);
    return hit;
}

/// What the tables say an address stands for, in standard form; empty if they have no entry.
Result<Rewriter::Addresses> Rewriter::mapped(const table::Tables& tables,
                                             const mail::Address& address, bool propagate) const {
    auto hit = find(tables, address);
    if (!hit) return Unexpected(std::move(hit).error());
    if (!hit->has_value()) return Addresses();
    const std::string& value = (*hit)->value;
    const std::string& extension = (*hit)->unmatched_extension;

    Addresses result;
    if (value[0] == '@') {
        // `@other.example` keeps the user and, having moved him, drops what was not matched.
        const std::string domain = value.substr(1);
        if (domain.empty() || !mail::is_domain_text(domain)) {
            return bad_result(tables, address, value);
        }
        std::string user = address.local_part;
        user.resize(user.size() - extension.size());
        if (propagate) user += extension;
        result.push_back(standard_form(mail::Address(std::move(user), domain)));
        return result;
    }
    const AddressList list(value);
    for (std::size_t i = 0; i < list.size(); ++i) {
        mail::Address to = standard_form(list.address(i));
        if (propagate) to.local_part += extension;
        result.push_back(std::move(to));
    }
    if (result.empty() || !list.is_well_formed()) return bad_result(tables, address, value);
    return result;
}

Result<mail::Address> Rewriter::mapped_to_one(const table::Tables& tables,
                                              mail::Address address) const {
    for (int count = 0; count < kCanonicalRecursionLimit; ++count) {
        auto to = mapped(tables, address, options_.propagate_canonical);
        if (!to) return Unexpected(std::move(to).error());
        if (to->empty()) return address;
        const bool unchanged = is_same(to->front(), address);
        address = std::move(to->front());
        if (unchanged) return address;
    }
    return too_much(tables, "map nesting for", mail::internal(address));
}

// The local part in lower case, with its extension, then without: as Postfix's local delivery asks.
Result<std::optional<std::string>> Rewriter::find_alias(const mail::Address& local) const {
    using Found = std::optional<std::string>;
    if (options_.alias_maps.empty()) return Found();
    const std::string name = ascii_lowercase(local.local_part);
    const auto split = table::split_extension(name, options_.recipient_delimiter);
    auto found = options_.alias_maps.find(name);
    if (found && !found->has_value() && !split.second.empty()) {
        found = options_.alias_maps.find(split.first);
    }
    if (!found) return lookup_problem(options_.alias_maps, local);
    return found;
}

// The first item that matches decides; a domain that is itself an item is left alone.
mail::Address Rewriter::masqueraded(mail::Address address) const {
    const auto is_exempt = [&](const std::string& name) {
        return equals_ignoring_case(name, address.local_part);
    };
    const auto& exceptions = options_.masquerade_exceptions;
    if (std::any_of(exceptions.begin(), exceptions.end(), is_exempt)) return address;
    const std::string domain = ascii_lowercase(address.domain);
    for (const std::string& item : options_.masquerade_domains) {
        const std::size_t bangs = std::min(item.find_first_not_of('!'), item.size());
        const std::string parent = ascii_lowercase(std::string_view(item).substr(bangs));
        if (parent.empty()) continue;
        if (domain == parent) break;
        if (domain.size() <= parent.size()) continue;
        const std::size_t start = domain.size() - parent.size();
        if (domain[start - 1] != '.' || domain.compare(start, parent.size(), parent) != 0) continue;
        if (bangs % 2 == 0) address.domain = parent;
        break;
    }
    return address;
}

}  // namespace postrider::message
