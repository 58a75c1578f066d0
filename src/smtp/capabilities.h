// What a server says it can do: the answer to EHLO.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/result.h"
#include "smtp/reply.h"

namespace postrider::smtp {

/// EHLO keywords not to believe (smtp_discard_ehlo_keywords), in upper case.
struct DiscardedKeywords {
    std::vector<std::string> keywords;
    bool silent = false;  ///< `silent-discard`: do not log that they are discarded.

    bool contains(std::string_view keyword) const;
    /// For the line `discarding EHLO keywords: 8BITMIME PIPELINING`; empty if nothing to say.
    std::string log_text() const;
};

/// Reads a list of keywords parted by commas or white space. Names that Postfix does not know are
/// ErrorCode::Invalid.
Result<DiscardedKeywords> parse_discarded_keywords(std::string_view list);

/// Valid for one session, and only until TLS starts (RFC 3207 4.2): never remembered.
struct Capabilities {
    std::string host;    ///< The first word of the answer: the server's own name, as it says.
    bool esmtp = false;  ///< It answered EHLO, not just HELO.
    bool eight_bit_mime = false;
    bool pipelining = false;
    bool starttls = false;
    bool dsn = false;
    bool smtputf8 = false;
    bool chunking = false;
    bool binary_mime = false;
    bool enhanced_status_codes = false;
    bool require_tls = false;
    bool size = false;
    std::optional<std::uint64_t> size_max;  ///< Nothing: no fixed limit announced.
    bool auth = false;                      ///< AUTH was offered, even if with no mechanism.
    /// In the order offered, over all `AUTH` and `AUTH=` lines, upper case, none twice; at most 64.
    std::vector<std::string> auth_mechanisms;
};

Capabilities parse_capabilities(const Reply& ehlo, const DiscardedKeywords& = {});

/// After HELO: nothing but the name.
Capabilities plain_capabilities(const Reply& helo);

}  // namespace postrider::smtp
