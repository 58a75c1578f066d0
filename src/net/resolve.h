// Names to addresses, through DNS and the hosts file.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include <boost/asio/any_io_executor.hpp>

#include "net/addresses.h"
#include "net/stream.h"

namespace postrider::net {

/// smtp_host_lookup.
enum class HostLookup { Dns, Native, DnsThenNative };

struct ResolverOptions {
    bool ipv4 = true;  ///< inet_protocols
    bool ipv6 = true;
    HostLookup lookup = HostLookup::Dns;
    Duration try_timeout = std::chrono::seconds(5);  ///< for one question to one server
    int tries = 2;
    std::vector<std::string> servers;  ///< `127.0.0.1:5353`; empty: those of resolv.conf
    std::filesystem::path resolv_conf = "/etc/resolv.conf";
    std::filesystem::path hosts_file = "/etc/hosts";
    bool ignore_mx_lookup_error = false;
};

enum class LookupStatus {
    Found,
    NotFound,  ///< there is no such name, or it has no address
    TryAgain,  ///< no usable answer for now, or no time left
    NullMx,    ///< the domain says that it takes no mail (RFC 7505)
    Loopback,  ///< name servers say that it is this machine: a mistake, or an attack
};

/// What became of a lookup. When nothing was found `reason` is the sentence for the log, as
/// `Host or domain name not found. Name service error for name=N type=A: Host not found`.
struct Lookup {
    LookupStatus status = LookupStatus::NotFound;
    std::vector<HostAddress> addresses;  ///< not ordered: see ordered()
    std::string reason;
    bool native = false;  ///< the hosts file and the system's way said so, not plain DNS
};

/// Asks the system's name servers without blocking and without threads. The files it needs
/// (resolv.conf, hosts) are read when it is made, and again when they have changed, which is looked
/// at before every lookup. Addresses per host, MX hosts and time are bounded.
///
/// Loopback addresses count where the operator wrote them: as an address, as `localhost`, in the
/// hosts file. Those of a name server are left out: a stranger could have mail, and the login for
/// it, brought to whatever listens on this machine.
class Resolver {
public:
    static Result<std::unique_ptr<Resolver>> create(boost::asio::any_io_executor, ResolverOptions);
    ~Resolver();

    /// The addresses of one host; an address literal (with or without brackets) is its own answer.
    /// Error only when cancelled.
    Awaitable<Result<Lookup>> host(std::string name, MonotonicTime deadline);
    /// The mail exchangers of a domain with their addresses; without MX records, its own addresses.
    Awaitable<Result<Lookup>> mail_exchangers(std::string domain, MonotonicTime deadline);

    /// Reads the files again: the network has changed. Lookups in progress ask the new servers, and
    /// have until their old deadline.
    Result<void> refresh();
    /// Whether the name is known without a server: an address, `localhost`, or, where
    /// smtp_host_lookup says so, in the hosts file; and this machine has a route there.
    bool is_within_reach(const std::string& name);

private:
    class Implementation;
    explicit Resolver(std::unique_ptr<Implementation>);

    std::unique_ptr<Implementation> implementation_;
};

}  // namespace postrider::net
