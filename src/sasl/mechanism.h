// Ways to prove who we are (RFC 4422), as challenge and response.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/result.h"
#include "core/secret.h"
#include "sasl/security_options.h"

namespace postrider::sasl {

struct Credentials {
    std::string user;
    Secret password;   ///< Or the access token, for XOAUTH2 and OAUTHBEARER.
    std::string host;  ///< The server's name, for OAUTHBEARER; may be empty.
    std::uint16_t port = 0;
};

/// One authentication in progress. Challenges and responses are raw bytes, before base64.
class Mechanism {
public:
    virtual ~Mechanism() = default;

    virtual std::string_view name() const = 0;
    /// What the client may say at once; nothing if the server speaks first. Call it once, first.
    virtual Result<std::optional<Secret>> initial_response() = 0;
    /// The answer to a challenge. Errors are ErrorCode::Protocol: the challenge makes no sense, or
    /// the server failed to prove itself.
    virtual Result<Secret> respond(std::string_view challenge) = 0;
    /// The client has said all, and what the server had to prove is proven: success may be
    /// believed now. Success before that is a protocol error.
    virtual bool is_complete() const = 0;
};

/// Whether the operator lets a mechanism be used (smtp_sasl_mechanism_filter).
using MechanismFilter = std::function<bool(std::string_view name)>;

/// The strongest mechanism that is offered, permitted, within the options, and that we know:
/// SCRAM-SHA-256, SCRAM-SHA-1, CRAM-MD5, PLAIN, LOGIN. OAUTHBEARER and XOAUTH2 take a token, not a
/// password, and are used only where the filter leaves nothing else. An empty filter permits all.
/// ErrorCode::NotFound: `No worthy mechs found`.
Result<std::unique_ptr<Mechanism>> choose(const std::vector<std::string>& offered,
                                          const MechanismFilter& permitted, const SecurityOptions&,
                                          const Credentials&);

}  // namespace postrider::sasl
