#include "net/resolve.h"

#include <fstream>
#include <optional>
#include <sstream>

#include <fmt/format.h>

#include "core/ascii.h"
#include "net/dns.h"
#include "net/hosts_file.h"

namespace postrider::net {
namespace {

// RFC 1035 2.3.4, in text form.
constexpr std::size_t kNameLengthMax = 253;
constexpr std::size_t kAddressesMax = 200;

std::string dns_reason(const std::string& name, RecordType type, DnsAnswer::Status status) {
    return fmt::format("Host or domain name not found. Name service error for name={} type={}: {}",
                       name, to_string(type), to_string(status));
}

LookupStatus lookup_status(DnsAnswer::Status status) {
    switch (status) {
        case DnsAnswer::Status::Found:
            return LookupStatus::Found;
        case DnsAnswer::Status::NoSuchName:
        case DnsAnswer::Status::NoData:
            return LookupStatus::NotFound;
        case DnsAnswer::Status::TryAgain:
        case DnsAnswer::Status::Unusable:
            return LookupStatus::TryAgain;
    }
    return LookupStatus::TryAgain;
}

Lookup not_found(std::string reason) {
    Lookup lookup;
    lookup.status = LookupStatus::NotFound;
    lookup.reason = std::move(reason);
    return lookup;
}

bool is_askable(std::string_view name) {
    if (name.empty() || name.size() > kNameLengthMax) return false;
    for (const char c : name) {
        if (is_ascii_control(c) || is_ascii_space(c) || !is_ascii(c)) return false;
    }
    return true;
}

/// A machine may well have none. RFC 6761 6.3: localhost is this machine even when no
/// file says so.
HostsTable read_hosts(const std::filesystem::path& path) {
    std::ifstream file(path);
    std::ostringstream text;
    if (file) text << file.rdbuf();
    HostsTable hosts = parse_hosts(text.str());
    if (!hosts.contains("localhost"))
        hosts.merge(parse_hosts("127.0.0.1 localhost\n::1 localhost"));
    return hosts;
}

}  // namespace

class Resolver::Implementation {
public:
    Implementation(boost::asio::any_io_executor executor, ResolverOptions options)
        : executor_(std::move(executor)), options_(std::move(options)) {}

    Result<void> refresh() {
        DnsOptions wanted;
        wanted.try_timeout = options_.try_timeout;
        wanted.tries = options_.tries;
        wanted.servers = options_.servers;
        auto client = DnsClient::create(executor_, wanted);
        if (!client) return Unexpected(std::move(client).error());
        dns_ = std::move(*client);
        hosts_ = read_hosts(options_.hosts_file);
        return {};
    }

    Awaitable<Result<Lookup>> host(std::string name, MonotonicTime deadline) {
        if (const auto literal = parse_ip_literal(name)) co_return literal_lookup(name, *literal);
        if (!is_askable(name)) {
            const auto type = options_.ipv4 ? RecordType::A : RecordType::Aaaa;
            co_return not_found(dns_reason(name, type, DnsAnswer::Status::NoSuchName));
        }
        if (options_.lookup == HostLookup::Native) co_return co_await native_host(name, deadline);
        auto lookup = co_await dns_host(name, false, deadline);
        const bool go_on = options_.lookup == HostLookup::DnsThenNative && lookup &&
                           lookup->status == LookupStatus::NotFound;
        if (go_on) co_return co_await native_host(name, deadline);
        co_return lookup;
    }

    Awaitable<Result<Lookup>> mail_exchangers(std::string domain, MonotonicTime deadline) {
        const bool by_address = options_.lookup == HostLookup::Native || !is_askable(domain) ||
                                parse_ip_literal(domain).has_value();
        if (by_address) co_return co_await host(std::move(domain), deadline);
        auto answer =
            co_await DnsClient::answer(dns_->ask(domain, RecordType::Mx, false), deadline);
        if (!answer) co_return Unexpected(std::move(answer).error());
        const auto status = lookup_status(answer->status);
        if (status == LookupStatus::TryAgain && !options_.ignore_mx_lookup_error) {
            Lookup lookup;
            lookup.status = status;
            lookup.reason = dns_reason(domain, RecordType::Mx, answer->status);
            co_return lookup;
        }
        if (status != LookupStatus::Found) co_return co_await host(std::move(domain), deadline);
        co_return co_await exchanger_addresses(std::move(domain), std::move(answer->exchangers),
                                               deadline);
    }

private:
    static Lookup literal_lookup(const std::string& name, const IpAddress& address) {
        Lookup lookup;
        lookup.status = LookupStatus::Found;
        const bool bracketed = name.size() > 2 && name.front() == '[';
        HostAddress entry;
        entry.host = bracketed ? name.substr(1, name.size() - 2) : name;
        entry.address = address;
        lookup.addresses.push_back(std::move(entry));
        return lookup;
    }

    // Both families are asked for at once. Any address is success; otherwise doubt wins over
    // certainty, because a name server that failed may know what the other did not.
    Awaitable<Result<Lookup>> dns_host(std::string name, bool search, MonotonicTime deadline) {
        std::vector<std::shared_ptr<DnsClient::Question>> questions;
        std::vector<RecordType> types;
        if (options_.ipv6) types.push_back(RecordType::Aaaa);
        if (options_.ipv4) types.push_back(RecordType::A);
        for (const auto type : types) questions.push_back(dns_->ask(name, type, search));

        Lookup lookup;
        lookup.native = search;
        for (std::size_t i = 0; i < questions.size(); ++i) {
            auto answer = co_await DnsClient::answer(questions[i], deadline);
            if (!answer) co_return Unexpected(std::move(answer).error());
            for (const auto& address : answer->addresses) add(lookup, name, address);
            const bool doubt = lookup.status == LookupStatus::TryAgain;
            if (answer->status == DnsAnswer::Status::Found || doubt) continue;
            lookup.status = lookup_status(answer->status);
            lookup.reason = dns_reason(name, types[i], answer->status);
        }
        if (!lookup.addresses.empty()) {
            lookup.status = LookupStatus::Found;
            lookup.reason.clear();
        }
        co_return lookup;
    }

    // As getaddrinfo(3) does it: the hosts file, then DNS with the search domains.
    Awaitable<Result<Lookup>> native_host(std::string name, MonotonicTime deadline) {
        Lookup local;
        local.native = true;
        const auto entry = hosts_.find(ascii_lowercase(name));
        if (entry != hosts_.end()) {
            for (const auto& address : entry->second) {
                const bool wanted = address.is_v6() ? options_.ipv6 : options_.ipv4;
                if (wanted) add(local, name, address);
            }
        }
        if (!local.addresses.empty()) {
            local.status = LookupStatus::Found;
            co_return local;
        }
        auto lookup = co_await dns_host(name, true, deadline);
        if (lookup && lookup->status != LookupStatus::Found) {
            const bool again = lookup->status == LookupStatus::TryAgain;
            lookup->reason = fmt::format(
                "unable to look up host {}: {}", name,
                again ? "Temporary failure in name resolution" : "Name or service not known");
        }
        co_return lookup;
    }

    Awaitable<Result<Lookup>> exchanger_addresses(std::string domain,
                                                  std::vector<MailExchanger> exchangers,
                                                  MonotonicTime deadline) {
        Lookup all;
        for (const auto& exchanger : exchangers) {
            if (exchanger.host.empty() || exchanger.host == ".") {
                all.status = LookupStatus::NullMx;
                all.reason = fmt::format("Domain {} does not accept mail (nullMX)", domain);
                continue;
            }
            auto one = co_await host(exchanger.host, deadline);
            if (!one) co_return Unexpected(std::move(one).error());
            for (auto& entry : one->addresses) {
                entry.preference = exchanger.preference;
                if (all.addresses.size() < kAddressesMax) all.addresses.push_back(entry);
            }
            const bool doubt = all.status == LookupStatus::TryAgain;
            if (one->status == LookupStatus::Found || doubt) continue;
            all.status = one->status;
            all.reason = std::move(one->reason);
            all.native = one->native;
        }
        if (!all.addresses.empty()) {
            all.status = LookupStatus::Found;
            all.reason.clear();
        }
        co_return all;
    }

    static void add(Lookup& lookup, const std::string& name, const IpAddress& address) {
        if (lookup.addresses.size() >= kAddressesMax) return;
        HostAddress entry;
        entry.host = name;
        entry.address = address;
        lookup.addresses.push_back(std::move(entry));
    }

    boost::asio::any_io_executor executor_;
    ResolverOptions options_;
    std::unique_ptr<DnsClient> dns_;
    HostsTable hosts_;
};

Result<std::unique_ptr<Resolver>> Resolver::create(boost::asio::any_io_executor executor,
                                                   ResolverOptions options) {
    auto implementation = std::make_unique<Implementation>(std::move(executor), std::move(options));
    auto ready = implementation->refresh();
    if (!ready) return Unexpected(std::move(ready).error());
    return std::unique_ptr<Resolver>(new Resolver(std::move(implementation)));
}

Resolver::Resolver(std::unique_ptr<Implementation> implementation)
    : implementation_(std::move(implementation)) {}
Resolver::~Resolver() = default;

Awaitable<Result<Lookup>> Resolver::host(std::string name, MonotonicTime deadline) {
    return implementation_->host(std::move(name), deadline);
}

Awaitable<Result<Lookup>> Resolver::mail_exchangers(std::string domain, MonotonicTime deadline) {
    return implementation_->mail_exchangers(std::move(domain), deadline);
}

Result<void> Resolver::refresh() {
    return implementation_->refresh();
}

}  // namespace postrider::net
