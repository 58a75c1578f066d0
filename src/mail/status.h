// Enhanced status codes, RFC 3463.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace postrider::mail {

/// `class.subject.detail`: 2.0.0 success, 4.x.x try again later, 5.x.x never.
struct EnhancedStatus {
    std::uint16_t status_class = 5;
    std::uint16_t subject = 0;
    std::uint16_t detail = 0;

    constexpr EnhancedStatus() = default;
    constexpr EnhancedStatus(int c, int s, int d)
        : status_class(static_cast<std::uint16_t>(c)),
          subject(static_cast<std::uint16_t>(s)),
          detail(static_cast<std::uint16_t>(d)) {}

    friend bool operator==(const EnhancedStatus&, const EnhancedStatus&) = default;
};

std::string to_string(EnhancedStatus);

/// Reads `4.7.1` at the start of `text`; what follows must be a space or the end. Classes 2, 4, 5;
/// subject and detail of one to three digits.
std::optional<EnhancedStatus> parse_status(std::string_view text);

/// The text behind the code that parse_status() found: `4.7.1 try later` becomes `try later`.
std::string_view after_status(std::string_view text);

}  // namespace postrider::mail
