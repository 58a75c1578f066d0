// Opens a connection to the first address that answers (Happy Eyeballs, RFC 8305).
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "net/addresses.h"
#include "net/socket_stream.h"

namespace postrider::net {

struct ConnectOptions {
    Duration stagger = std::chrono::milliseconds(250);    ///< head start of each address
    Duration attempt_timeout = std::chrono::seconds(30);  ///< smtp_connect_timeout
    std::optional<IpAddress> bind_ipv4;                   ///< smtp_bind_address
    std::optional<IpAddress> bind_ipv6;                   ///< smtp_bind_address6
};

/// An address that could not be reached.
struct FailedAttempt {
    HostAddress to;
    std::uint16_t port;
    Error error;  ///< `connect to smtp.example.net[192.0.2.1]:465: Connection refused`
};

struct Connected {
    std::unique_ptr<SocketStream> stream;  ///< none if every address failed
    HostAddress to;
    std::uint16_t port = 0;
    std::vector<FailedAttempt> failures;  ///< before the one that answered, for the log
};

/// In the order in which attempts start: the list's, but families alternate within one MX
/// preference, so that a broken family costs one head start.
std::vector<HostAddress> interleaved(std::vector<HostAddress>);

/// Tries the addresses in their interleaved order. Each gets a head start before the next of the
/// same MX preference is tried beside it; a failure starts the next at once; a worse MX is only
/// tried when all better ones have failed. The first to answer wins, the others are dropped.
/// Error only when cancelled; a deadline that passes counts as failure of what was in progress.
Awaitable<Result<Connected>> connect(std::vector<HostAddress> addresses, std::uint16_t port,
                                     ConnectOptions options, MonotonicTime deadline);

}  // namespace postrider::net
