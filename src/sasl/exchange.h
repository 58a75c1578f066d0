// The AUTH dialogue (RFC 4954) around a mechanism: lines out, replies in.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>

#include "core/result.h"
#include "core/secret.h"
#include "sasl/mechanism.h"

namespace postrider::sasl {

/// One AUTH command from its first line to its end.
///
///     auto line = exchange.begin();              // "AUTH PLAIN AGFubgBz...\r\n"
///     send it, read a reply, then
///     auto step = exchange.next(reply.code, last line of the reply);
///     Continue: send step->line, read again.  Succeeded, Refused: done.
///
/// An error is ErrorCode::Protocol: the server cannot be trusted or understood; close the
/// connection, defer. Bounded: kRoundsMax challenges of kChallengeMax bytes.
class Exchange {
public:
    static constexpr int kRoundsMax = 10;
    static constexpr std::size_t kChallengeMax = 12288;
    /// RFC 4954 4: with the initial response the command line must stay within 512 bytes.
    static constexpr std::size_t kCommandLengthMax = 512;

    explicit Exchange(std::unique_ptr<Mechanism> mechanism) : mechanism_(std::move(mechanism)) {}

    struct Step {
        enum class Kind : std::uint8_t {
            Continue,   ///< Send `line`, then read a reply.
            Succeeded,  ///< Authenticated.
            Refused,    ///< The server said no (its reply tells why).
        };
        Kind kind = Kind::Refused;
        Secret line;

        Step(Kind what, Secret text) : kind(what), line(std::move(text)) {}
    };

    /// The AUTH line with CRLF.
    Result<Secret> begin();
    /// `text` is what stands behind the reply code: base64 for 334.
    Result<Step> next(int code, std::string_view text);

    std::string_view mechanism_name() const { return mechanism_->name(); }

private:
    Result<Secret> answer(std::string_view text);

    std::unique_ptr<Mechanism> mechanism_;
    std::optional<Secret> held_back_;  // An initial response too long for the AUTH line.
    int rounds_ = 0;
};

}  // namespace postrider::sasl
