// An IP address and a network of them, as main.cf and cidr tables write them.
#pragma once

#include <array>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include "core/result.h"

namespace postrider::table {

/// IPv4 or IPv6 in network byte order. Not mapped from one to the other.
struct IpAddress {
    std::size_t size = 0;  ///< 4 or 16 bytes are used.
    std::array<unsigned char, 16> bytes{};

    /// As inet_pton(3) reads it: no brackets, no scope, no port.
    static std::optional<IpAddress> parse(std::string_view text);
    std::string text() const;
    std::size_t bits() const { return size * 8; }
    friend bool operator==(const IpAddress&, const IpAddress&) = default;
};

/// `192.0.2.0/24`, `[2001:db8::]/32`, `[2001:db8::/32]`, or one address.
struct Network {
    IpAddress address;
    std::size_t prefix_length = 0;

    /// Host bits must be zero; the error's message is Postfix's.
    static Result<Network> parse(std::string_view text);
    bool contains(const IpAddress&) const;
};

}  // namespace postrider::table
