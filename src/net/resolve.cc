#include "net/resolve.h"

#include <algorithm>
#include <array>
#include <fstream>
#include <optional>
#include <sstream>

#include <sys/socket.h>
#include <sys/stat.h>

#include <boost/asio/ip/udp.hpp>
#include <fmt/format.h>

#include "core/ascii.h"
#include "core/unique_fd.h"
#include "net/dns.h"
#include "net/hosts_file.h"

namespace postrider::net {
namespace {

// RFC 1035 2.3.4, in text form.
constexpr std::size_t kNameLengthMax = 253;
constexpr std::size_t kAddressesMax = 200;
// A lookup outlives so many changes of the network.
constexpr int kServerChangesMax = 5;

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
        case DnsAnswer::Status::Stopped:
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

// RFC 6761 6.3.
bool is_localhost(std::string_view name) {
    if (name.ends_with('.')) name.remove_suffix(1);
    const std::string lower = ascii_lowercase(name);
    return lower == "localhost" || lower.ends_with(".localhost");
}

/// 127.0.0.0/8, ::1, and the unspecified addresses, which the kernel takes for loopback too.
bool is_this_machine(const IpAddress& written) {
    const IpAddress address = unmapped(written);
    if (address.is_loopback() || address.is_unspecified()) return true;
    return address.is_v4() && address.to_v4().to_bytes()[0] == 0;
}

/// Whether the kernel knows a way there. A datagram socket asks without sending anything.
bool has_route(const IpAddress& address) {
    const boost::asio::ip::udp::endpoint to(address, 9);
    const UniqueFd socket(::socket(to.protocol().family(), SOCK_DGRAM | SOCK_CLOEXEC, 0));
    return socket && ::connect(socket.get(), to.data(), static_cast<socklen_t>(to.size())) == 0;
}

/// By which a file that was replaced or rewritten is known: device, inode, size, time of change.
using Stamp = std::array<std::int64_t, 5>;

Stamp stamp_of(const std::filesystem::path& path) {
    struct stat file {};
    if (::stat(path.c_str(), &file) != 0) return {};
    return {static_cast<std::int64_t>(file.st_dev), static_cast<std::int64_t>(file.st_ino),
            file.st_size, file.st_mtim.tv_sec, file.st_mtim.tv_nsec};
}

}  // namespace

class Resolver::Implementation {
public:
    Implementation(boost::asio::any_io_executor executor, ResolverOptions options)
        : executor_(std::move(executor)), options_(std::move(options)) {}

    Result<void> refresh() {
        // Before reading, so that a change in between is seen the next time.
        stamps_ = stamps();
        DnsOptions wanted;
        wanted.try_timeout = options_.try_timeout;
        wanted.tries = options_.tries;
        wanted.servers = options_.servers;
        wanted.resolv_conf = options_.resolv_conf;
        auto client = DnsClient::create(executor_, wanted);
        if (!client) return Unexpected(std::move(client).error());
        dns_ = std::move(*client);
        hosts_ = read_hosts(options_.hosts_file);
        return {};
    }

    /// Old servers are better than none.
    void refresh_if_changed() {
        if (stamps_ != stamps()) static_cast<void>(refresh());
    }

    bool is_within_reach(const std::string& name) {
        if (const auto literal = parse_ip_literal(name)) return has_route(*literal);
        if (is_localhost(name)) return true;
        if (options_.lookup == HostLookup::Dns) return false;
        refresh_if_changed();
        const auto entry = hosts_.find(ascii_lowercase(name));
        return entry != hosts_.end() &&
               std::any_of(entry->second.begin(), entry->second.end(), has_route);
    }

    Awaitable<Result<Lookup>> host(std::string name, MonotonicTime deadline) {
        refresh_if_changed();
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
        refresh_if_changed();
        auto answer = co_await answer_to(dns_->ask(domain, RecordType::Mx, false), domain,
                                         RecordType::Mx, false, deadline);
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
        std::optional<IpAddress> ourselves;
        for (std::size_t i = 0; i < questions.size(); ++i) {
            auto answer = co_await answer_to(questions[i], name, types[i], search, deadline);
            if (!answer) co_return Unexpected(std::move(answer).error());
            for (const auto& address : answer->addresses) {
                if (is_this_machine(address) && !is_localhost(name)) {
                    ourselves = address;
                } else {
                    add(lookup, name, address);
                }
            }
            const bool doubt = lookup.status == LookupStatus::TryAgain;
            if (answer->status == DnsAnswer::Status::Found || doubt) continue;
            lookup.status = lookup_status(answer->status);
            lookup.reason = dns_reason(name, types[i], answer->status);
        }
        if (!lookup.addresses.empty()) {
            lookup.status = LookupStatus::Found;
            lookup.reason.clear();
        } else if (ourselves) {
            lookup.status = LookupStatus::Loopback;
            lookup.reason = fmt::format("name server says that {} is this machine ({})", name,
                                        ourselves->to_string());
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
        const bool failed = lookup && (lookup->status == LookupStatus::NotFound ||
                                       lookup->status == LookupStatus::TryAgain);
        if (failed) {
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
            // Who names the exchanger is a stranger, also when the name is `localhost`.
            const auto ourselves = std::erase_if(one->addresses, [](const HostAddress& entry) {
                return is_this_machine(entry.address);
            });
            if (ourselves > 0 && one->addresses.empty()) {
                one->status = LookupStatus::Loopback;
                one->reason =
                    fmt::format("mail exchanger {} of {} is this machine", exchanger.host, domain);
            }
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

    /// The answer to a question that has been asked; of the new servers, if they have changed.
    Awaitable<Result<DnsAnswer>> answer_to(std::shared_ptr<DnsClient::Question> question,
                                           std::string name, RecordType type, bool search,
                                           MonotonicTime deadline) {
        for (int changes = 0;; ++changes) {
            auto answer = co_await DnsClient::answer(question, deadline);
            const bool stopped = answer && answer->status == DnsAnswer::Status::Stopped;
            if (!stopped || changes == kServerChangesMax) co_return answer;
            question = dns_->ask(name, type, search);
        }
    }

    std::array<Stamp, 2> stamps() const {
        const bool servers_given = !options_.servers.empty();
        return {servers_given ? Stamp() : stamp_of(options_.resolv_conf),
                stamp_of(options_.hosts_file)};
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
    std::array<Stamp, 2> stamps_{};  ///< of resolv.conf and hosts, when they were read
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

bool Resolver::is_within_reach(const std::string& name) {
    return implementation_->is_within_reach(name);
}

Result<void> Resolver::refresh() {
    return implementation_->refresh();
}

}  // namespace postrider::net
