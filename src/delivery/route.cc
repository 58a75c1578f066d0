#include "delivery/route.h"

#include <fmt/format.h>

#include "core/ascii.h"
#include "table/address_keys.h"

namespace postrider::delivery {

namespace {

Route settled(mail::Disposition::Kind kind, mail::EnhancedStatus status, std::string text,
              std::string program = "error") {
    Route route;
    route.disposition.kind = kind;
    route.disposition.status = status;
    route.disposition.text = std::move(text);
    route.program = std::move(program);
    return route;
}

Route deferred(mail::EnhancedStatus status, std::string text) {
    return settled(mail::Disposition::Kind::Deferred, status, std::move(text));
}

Route smtp(std::string next_hops, bool is_relayhost) {
    Route route;
    route.transport = Route::Transport::Smtp;
    route.next_hops = ascii_lowercase(next_hops);
    route.is_relayhost = is_relayhost;
    return route;
}

// `error:5.1.1 text`, `retry:4.3.0 text`; the status may be left out.
Route told_by_table(mail::Disposition::Kind kind, mail::EnhancedStatus otherwise,
                    std::string_view text) {
    auto status = mail::parse_status(text);
    if (status) text = mail::after_status(text);
    // A report that says "failed" with a status of success would be believed by programs.
    if (status) status->status_class = otherwise.status_class;
    if (text.empty())
        text = kind == mail::Disposition::Kind::Bounced ? "undeliverable" : "deferred";
    return settled(kind, status.value_or(otherwise), std::string(text));
}

table::Answer value_of(Result<std::optional<table::AddressHit>> hit) {
    if (!hit) return Unexpected(std::move(hit).error());
    if (!*hit) return table::Answer(std::nullopt);
    return table::Answer(std::move((*hit)->value));
}

struct TransportValue {
    std::string_view transport;
    std::string_view next_hop;
};

TransportValue split_transport(std::string_view value) {
    value = trimmed(value);
    const std::size_t colon = value.find(':');
    TransportValue parts;
    parts.transport = value.substr(0, colon);
    if (colon != std::string_view::npos) parts.next_hop = trimmed(value.substr(colon + 1));
    return parts;
}

}  // namespace

bool Router::has_single_destination() const {
    return maps_.transport.empty() && maps_.sender_dependent_relayhost.empty();
}

Route Router::route(const mail::Address& sender, const mail::Address& recipient) const {
    if (recipient.is_null() || recipient.local_part.empty()) {
        return settled(mail::Disposition::Kind::Bounced, {5, 1, 3}, "bad address syntax");
    }
    if (recipient.local_part.front() == '-') {
        // It would be an option on the command line of somebody's delivery program.
        return settled(mail::Disposition::Kind::Bounced, {5, 1, 3}, "bad address syntax");
    }

    const auto exception = find_transport(recipient);
    if (!exception) return deferred({4, 3, 0}, "address resolver failure");
    const auto relayhost = find_relayhost(sender);
    if (!relayhost) return deferred({4, 3, 0}, "address resolver failure");
    const std::string next_hop = relayhost->value_or(options_.relayhost);

    const bool decided = exception->has_value() && trimmed(**exception) != ":";
    if (!decided && is_local(recipient)) {
        return settled(mail::Disposition::Kind::Bounced, {5, 1, 1},
                       fmt::format("no mailbox for \"{}\" on this host: set an alias for it in "
                                   "alias_maps, or luser_relay for all such mail",
                                   recipient.local_part));
    }
    if (decided) return route_transport(**exception, "", false, recipient);
    return route_transport(options_.default_transport, next_hop, true, recipient);
}

Route Router::route_transport(std::string_view value, std::string next_hop, bool named,
                              const mail::Address& recipient) const {
    const TransportValue parts = split_transport(value);
    const std::string_view transport = parts.transport.empty()
                                           ? split_transport(options_.default_transport).transport
                                           : parts.transport;
    if (transport == "error") {
        return told_by_table(mail::Disposition::Kind::Bounced, {5, 0, 0}, parts.next_hop);
    }
    if (transport == "retry") {
        return told_by_table(mail::Disposition::Kind::Deferred, {4, 0, 0}, parts.next_hop);
    }
    if (transport == "discard") {
        const std::string text(parts.next_hop.empty() ? recipient.domain : parts.next_hop);
        return settled(mail::Disposition::Kind::Sent, {2, 0, 0}, text, "discard");
    }
    if (transport != "smtp" && transport != "relay" && transport != "smtps") {
        return deferred({4, 3, 5},
                        fmt::format("transport \"{}\" is not served: use smtp:, error:, retry: or "
                                    "discard:",
                                    transport));
    }
    if (!parts.next_hop.empty()) {
        next_hop = std::string(parts.next_hop);
        named = true;
    }
    if (next_hop.empty()) {
        return deferred({4, 3, 5}, fmt::format("no relayhost for mail to {}: set relayhost in "
                                               "main.cf; direct delivery is not supported",
                                               recipient.domain));
    }
    const auto hops = parse_next_hops(next_hop, options_.ports, options_.default_port);
    if (!hops) return deferred({4, 3, 5}, hops.error().message);
    return smtp(std::move(next_hop), named);
}

bool Router::is_local(const mail::Address& recipient) const {
    return recipient.domain.empty() || (options_.is_local && options_.is_local(recipient.domain));
}

table::Answer Router::find_transport(const mail::Address& recipient) const {
    if (maps_.transport.empty()) return table::Answer(std::nullopt);
    table::AddressQuery query;
    query.local_part = recipient.local_part;
    query.domain = recipient.domain;
    query.delimiters = options_.recipient_delimiter;
    const auto parents =
        options_.parent_domain_matches ? table::Parents::WithoutDot : table::Parents::WithDot;
    return value_of(table::find_first(maps_.transport, table::transport_keys(query, parents)));
}

table::Answer Router::find_relayhost(const mail::Address& sender) const {
    const table::Tables& maps = maps_.sender_dependent_relayhost;
    if (maps.empty()) return table::Answer(std::nullopt);
    table::AddressQuery query;
    query.local_part = sender.local_part;
    query.domain = sender.domain;
    query.delimiters = options_.recipient_delimiter;
    auto found = sender.is_null() ? maps.find("<>") : value_of(table::find_address(maps, query));
    // The table's word for "as for everybody".
    if (found && *found && equals_ignoring_case(**found, "DUNNO")) {
        return table::Answer(std::nullopt);
    }
    return found;
}

}  // namespace postrider::delivery
