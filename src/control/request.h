// What an operator's tool may ask of the running queue.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/result.h"

namespace postrider::control {

/// The operations, with who may use them: anyone (their own mail only), the authorised, or the
/// operator (root and the queue's owner).
enum class Operation : std::uint8_t {
    List,    ///< Anyone sees their own mail; the authorised and the operator see all.
    Status,  ///< Anyone.
    Flush,   ///< The authorised and the operator: everything, `ids`, or `site`.
    Show,    ///< The operator: one message whole, envelope and content.
    Hold,    ///< The operator, like all below: `ids`, or everything when `all` is set.
    Release,
    Remove,
    Requeue,
    Expire,
    Pause,   ///< The operator: mail for next hops `site` waits, or for the relayhost.
    Resume,  ///< The operator: and goes on, there or everywhere.
};

/// One request. On the wire it is one line of JSON, at most kRequestSizeMax bytes:
///
///   {"operation": "hold", "ids": ["8DC08A800E0"], "all": false, "site": ""}
///
/// The answer is lines of JSON, each with exactly one of these members, the last with the first or
/// the second:
///
///   {"done": 2}                       how many messages were changed or listed
///   {"error": "...", "denied": true}  nothing (more) was done
///   {"message": {...}}                List, Show: one message (codec.h)
///   {"changed": "8DC08A800E0"}        Hold and its kin: one message that was changed
///   {"content": "base64"}             Show: the next piece of stored content
///   {"status": {...}}                 Status
struct Request {
    Operation operation = Operation::Status;
    std::vector<std::string> ids;
    bool all = false;
    std::string site;
};

constexpr std::size_t kRequestSizeMax = 1024 * 1024;

std::string_view name_of(Operation);

/// One line, without its line end. Bytes that are not UTF-8 become U+FFFD.
std::string to_line(const Request&);

/// Invalid for anything but a complete, known request with well-formed queue ids.
Result<Request> parse_request(std::string_view line);

}  // namespace postrider::control
