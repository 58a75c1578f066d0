// Where mail is handed on to: the syntax of relayhost and of transport next hops.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/result.h"

namespace postrider::delivery {

/// Names of TCP ports, as known_tcp_ports gives them: `lmtp=24, smtp=25, smtps=submissions=465`.
class PortNames {
public:
    static Result<PortNames> parse(std::string_view list);
    /// Postfix's default list.
    static PortNames standard();

    /// A number from 1 to 65535, or a name of the list, without regard to case.
    std::optional<std::uint16_t> find(std::string_view service) const;

private:
    std::map<std::string, std::uint16_t, std::less<>> ports_;
};

/// One host that may take our mail.
struct NextHop {
    std::string host;         ///< Name or literal address, lower case, without brackets or `IPv6:`.
    std::uint16_t port = 25;  ///< Where it listens.
    bool is_literal = false;  ///< `host` is an address: nothing to look up, no name for SNI.
    bool lookup_mx = false;   ///< Written without brackets: its MX hosts come first.
    /// As written in the configuration (`[smtp.gmail.com]:465`): the key under which
    /// smtp_sasl_password_maps and smtp_tls_policy_maps may know it.
    std::string written;
};

/// Reads `[host]:port`, `host:port`, `host`, `[v4]`, `[v6]:port`, `[IPv6:v6]:port`; the port is a
/// number or a service name. The error says what was expected instead.
Result<NextHop> parse_next_hop(std::string_view text, const PortNames&, std::uint16_t default_port);

/// Next hops in the order in which they are tried, separated by commas or white space. At most
/// kNextHopsMax; an empty list is an error.
Result<std::vector<NextHop>> parse_next_hops(std::string_view list, const PortNames&,
                                             std::uint16_t default_port);

inline constexpr std::size_t kNextHopsMax = 20;

}  // namespace postrider::delivery
