#include "sasl/exchange.h"

#include <string>
#include <utility>

#include "core/ascii.h"
#include "core/base64.h"

namespace postrider::sasl {

namespace {

Secret encoded_line(std::string_view response) {
    std::string encoded = base64(response);
    Secret line = Secret::take(encoded);
    line.append("\r\n");
    return line;
}

}  // namespace

Result<Secret> Exchange::begin() {
    auto initial = mechanism_->initial_response();
    if (!initial) return Unexpected(std::move(initial).error());
    Secret line("AUTH ");
    line.append(mechanism_->name());
    if (*initial) {
        const Secret response = encoded_line((*initial)->reveal());
        if (line.size() + 1 + response.size() > kCommandLengthMax) {
            held_back_ = std::move(*initial);
        } else {
            line.append(" ");
            // RFC 4954 4: an empty initial response is `=`, or it would look like none.
            if ((*initial)->empty()) line.append("=");
            line.append(response.reveal());
            return line;
        }
    }
    line.append("\r\n");
    return line;
}

Result<Exchange::Step> Exchange::next(int code, std::string_view text) {
    if (code == 334) {
        auto line = answer(text);
        if (!line) return Unexpected(std::move(line).error());
        return Step(Step::Kind::Continue, std::move(line).value());
    }
    if (code / 100 == 2) {
        if (held_back_ || !mechanism_->is_complete())
            return Unexpected(ErrorCode::Protocol,
                              "server claims success before the end of the authentication");
        return Step(Step::Kind::Succeeded, Secret());
    }
    if (code / 100 == 4 || code / 100 == 5) return Step(Step::Kind::Refused, Secret());
    return Unexpected(ErrorCode::Protocol,
                      "reply " + std::to_string(code) + " makes no sense after AUTH");
}

Result<Secret> Exchange::answer(std::string_view text) {
    if (++rounds_ > kRoundsMax)
        return Unexpected(ErrorCode::Protocol, "server keeps sending challenges");
    // The challenge before a held-back response means "go on", in whatever words.
    if (held_back_) {
        const Secret response = std::move(*held_back_);
        held_back_.reset();
        return encoded_line(response.reveal());
    }
    if (text.size() > kChallengeMax) return Unexpected(ErrorCode::Protocol, "challenge too long");
    const auto challenge = decode_base64(trimmed(text));
    if (!challenge) return Unexpected(ErrorCode::Protocol, "malformed SASL challenge from server");
    auto response = mechanism_->respond(*challenge);
    if (!response) return response;
    return encoded_line(response->reveal());
}

}  // namespace postrider::sasl
