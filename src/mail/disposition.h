// What became of a recipient in one delivery attempt.
#pragma once

#include <cstdint>
#include <string>

#include "mail/status.h"

namespace postrider::mail {

struct Disposition {
    enum class Kind : std::uint8_t {
        Sent,      ///< The next hop answered 2xx to the end of data. Final.
        Deferred,  ///< Will be tried again. Any doubt means this.
        Bounced,   ///< Refused for good; reported to the sender. Final.
        Expired,   ///< Waited longer than the queue lifetime; reported to the sender. Final.
    };

    Kind kind = Kind::Deferred;
    EnhancedStatus status{4, 0, 0};
    /// For the log's `status=... (text)`, the queue listing and the report: printable, one line.
    std::string text;
    /// The host that said it, for Remote-MTA; empty if no server was asked.
    std::string remote_mta;
    /// The server's own words with reply code, for Diagnostic-Code: smtp; empty if none.
    std::string diagnostic;

    bool is_final() const { return kind != Kind::Deferred; }
};

}  // namespace postrider::mail
