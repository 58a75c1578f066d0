#include "delivery/smtp_dialler.h"

#include <algorithm>

#include <fmt/format.h>

namespace postrider::delivery {

namespace {

Dialled failed(Verdict trouble) {
    Dialled dialled;
    dialled.trouble = std::move(trouble);
    return dialled;
}

Verdict verdict_of(const net::Lookup& lookup, bool is_relayhost) {
    if (lookup.status == net::LookupStatus::NullMx && !is_relayhost) {
        Verdict verdict = lookup_failure(Error{ErrorCode::NotFound, lookup.reason}, false);
        verdict.disposition.status = mail::EnhancedStatus(5, 1, 0);
        return verdict;
    }
    // A name that leads back to us is the operator's mistake where the operator chose it, and else
    // perhaps a lie that will pass.
    const bool may_pass = lookup.status == net::LookupStatus::TryAgain ||
                          (lookup.status == net::LookupStatus::Loopback && !is_relayhost);
    const ErrorCode code = may_pass ? ErrorCode::Unavailable : ErrorCode::NotFound;
    Verdict verdict = lookup_failure(Error{code, lookup.reason}, is_relayhost);
    if (lookup.native && verdict.disposition.status == mail::EnhancedStatus(4, 4, 3)) {
        verdict.disposition.status = mail::EnhancedStatus(4, 4, 4);
    }
    return verdict;
}

// The addresses that have not been tried: neither the one that answered nor those that did not.
void remove_tried(std::vector<net::HostAddress>& addresses, const net::Connected& connected) {
    const auto tried = [&](const net::HostAddress& address) {
        if (connected.stream && address == connected.to) return true;
        return std::any_of(connected.failures.begin(), connected.failures.end(),
                           [&](const net::FailedAttempt& one) { return one.to == address; });
    };
    std::erase_if(addresses, tried);
}

}  // namespace

SmtpDialler::SmtpDialler(const DialOptions& options, const Maps& maps, TlsChooser choose_tls,
                         net::Resolver& resolver, tls::Client& tls,
                         boost::asio::any_io_executor executor, const Clock& clock, const Log& log,
                         std::uint64_t seed)
    : options_(options),
      resolver_(resolver),
      clock_(clock),
      log_(log.named("smtp")),
      opener_(options.session, options.recipient_delimiter, maps, std::move(choose_tls), tls,
              std::move(executor), clock, log_),
      seed_(seed) {}

net::Awaitable<Dialled> SmtpDialler::dial(DialRequest request) {
    const auto hops = parse_next_hops(request.next_hops, options_.ports, options_.default_port);
    if (!hops) co_return failed(lookup_failure(hops.error(), true));
    Dialled last;
    for (const NextHop& hop : *hops) {
        last = co_await dial_hop(hop, request);
        if (last.session || last.trouble.reach == Reach::Account) break;
    }
    // No address is left: what was one connection's trouble is now the destination's.
    if (!last.session && last.trouble.reach < Reach::Destination) {
        last.trouble.reach = Reach::Destination;
    }
    co_return last;
}

bool SmtpDialler::can_reach(const std::string& next_hops) const {
    if (online_) return true;
    const auto hops = parse_next_hops(next_hops, options_.ports, options_.default_port);
    // What cannot be parsed is for dial() to complain about.
    return !hops || std::any_of(hops->begin(), hops->end(), [this](const NextHop& hop) {
        return resolver_.is_within_reach(hop.host);
    });
}

net::Awaitable<Dialled> SmtpDialler::dial_hop(const NextHop& hop, const DialRequest& request) {
    const MonotonicTime lookup_deadline = clock_.monotonic() + std::chrono::seconds(30);
    // Not one expression: this compiler destroys the outcome twice when ?: has co_await inside.
    auto looking_up = hop.lookup_mx ? resolver_.mail_exchangers(hop.host, lookup_deadline)
                                    : resolver_.host(hop.host, lookup_deadline);
    auto lookup = co_await std::move(looking_up);
    if (!lookup) co_return failed(lookup_failure(lookup.error(), request.is_relayhost));
    if (lookup->addresses.empty()) {
        const Verdict trouble = verdict_of(*lookup, request.is_relayhost);
        if (request.is_relayhost && trouble.disposition.status == mail::EnhancedStatus(4, 3, 5)) {
            log_.warning("relayhost configuration problem");
        }
        co_return failed(trouble);
    }

    auto addresses = net::ordered(std::move(lookup->addresses), options_.order, ++seed_);
    Dialled last;
    while (!addresses.empty()) {
        const auto timeout = options_.session.timeouts.connect;
        net::ConnectOptions how = options_.connect;
        how.attempt_timeout = timeout;
        const MonotonicTime deadline =
            clock_.monotonic() + timeout * static_cast<int>(addresses.size());
        auto connected = co_await net::connect(addresses, hop.port, how, deadline);
        if (!connected) {
            co_return failed(classify(Stage::Connect, connected.error(), Peer()));
        }
        for (const net::FailedAttempt& failure : connected->failures) {
            log_.info(failure.error.message);
            last = failed(classify(Stage::Connect, failure.error, Peer()));
        }
        if (!connected->stream) break;
        remove_tried(addresses, *connected);
        Peer peer;
        peer.host = connected->to.host;
        peer.address = connected->to.address.to_string();
        peer.port = connected->port;
        std::unique_ptr<net::Stream> stream = std::move(connected->stream);
        last = co_await opener_.open(std::move(stream), peer, hop, request);
        if (last.session || last.trouble.reach >= Reach::Destination) break;
        if (!addresses.empty()) {
            const std::string& text = last.trouble.disposition.text;
            log_.info(request.queue_id.empty() ? text
                                               : fmt::format("{}: {}", request.queue_id, text));
        }
    }
    co_return last;
}

}  // namespace postrider::delivery
