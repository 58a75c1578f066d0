// Who is at the other end of an SMTP session.
#pragma once

#include <cstdint>
#include <string>

#include "core/text.h"

namespace postrider::intake {

struct Client {
    std::string name = "unknown";  ///< `localhost` for loopback addresses; nothing is looked up.
    std::string address = "unknown";
    std::int64_t uid = -1;     ///< The kernel's word for a unix socket; -1 over the network.
    bool trusted = false;      ///< In mynetworks: may send to anybody.
    bool stand_alone = false;  ///< `sendmail -bs`: a program we were started by, not a peer.

    /// `localhost[127.0.0.1]`, as all log lines have it.
    std::string label() const { return concat({name, "[", address, "]"}); }
};

/// The other end of a TCP connection from `address`, without brackets: `127.0.0.1`, `::1`.
Client network_client(std::string address, bool trusted);

/// The program behind `sendmail -bs`, or a program on a unix socket of ours.
Client local_client(std::int64_t uid);

}  // namespace postrider::intake
